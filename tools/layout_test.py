#!/usr/bin/env python3
"""Feeds tools/layout.py small bad examples and sees each of its rules fire, and only that one."""
# SPDX-License-Identifier: Apache-2.0
import pathlib
import subprocess
import tempfile
import unittest

import layout

HEAD = "// A file of the example.\n// SPDX-License-Identifier: Apache-2.0\n"
ROOMS = "base:\nos: base\nstore: base os\nkafka: base\n"


def rules_of(files):
    """The names of the rules broken by a tree with one sound room plus files."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        sound = {
            "src/ROOMS": ROOMS,
            "src/base/README.md": "# base\n",
            "src/base/slice.h": HEAD + "#pragma once\nint slice_size(int value);\n",
            "src/base/slice.c": HEAD + '#include "base/slice.h"\n\n'
                                       "int slice_size(int value)\n{\n    return value;\n}\n",
        }
        for room in ("os", "store", "kafka"):
            sound[f"src/{room}/README.md"] = f"# {room}\n"
        for path, text in {**sound, **files}.items():
            if text is None:
                continue
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return sorted({finding.rule for finding in layout.check_all(root)})


def body(lines, signature="int store_log_go(int value)"):
    return HEAD + f"{signature};\n\n{signature}\n{{\n{lines}    return 0;\n}}\n"


class Rules(unittest.TestCase):
    def fires(self, rule, files):
        self.assertEqual(rules_of(files), [rule])

    def silent(self, files):
        self.assertEqual(rules_of(files), [])

    def test_a_sound_tree_has_no_findings(self):
        self.silent({})

    def test_walls(self):
        self.fires("wall", {"src/base/x.c": HEAD + '#include "store/log.h"\n'})
        self.fires("wall", {"src/kafka/x_test.c": HEAD + '#include "store/log.h"\n'})
        self.fires("wall", {"src/kafka/x.c": HEAD + '#include "os/fake.h"\n'})
        self.silent({"src/kafka/x_test.c": HEAD + '#include "os/fake.h"\n'})
        self.fires("include-up", {"src/store/x.c": HEAD + '#include "../base/slice.h"\n'})
        self.fires("include-path", {"src/store/x.c": HEAD + '#include "log.h"\n'})
        self.silent({"src/store/x.c": HEAD + '#include "os/os.h"\n#include "base/slice.h"\n'})

    def test_headers(self):
        self.fires("pragma-once", {"src/store/x.h": HEAD + "int store_x_get(void);\n"})
        self.fires("header-alone", {
            "src/store/x.h": HEAD + "#pragma once\nuint64_t store_x_get(void);\n"})

    def test_heads(self):
        self.fires("head", {"src/store/x.c": "// no sentence\n// " + layout.SPDX + "\n"})
        self.fires("spdx", {"src/store/x.c": "// A file.\n\n"})
        self.fires("head", {"tools/x.py": f"#!/usr/bin/env python3\nimport os\n# {layout.SPDX}\n"})
        self.fires("spdx", {"tools/x.sh": "#!/bin/sh\n# A script.\nset -e\n"})
        self.silent({"tools/x.sh": f"#!/bin/sh\n# A script.\n# {layout.SPDX}\nset -e\n"})

    def test_names(self):
        self.fires("name", {"src/kafka/log.c": HEAD + "int log_go(void)\n{\n    return 0;\n}\n"})
        self.silent({"src/store/log.c": HEAD + "int log_go(void)\n{\n    return 0;\n}\n"})
        self.fires("name", {"src/store/log.h": HEAD + "#pragma once\n"
                            "static inline int go(void)\n{\n    return 0;\n}\n"})
        self.silent({"src/store/log.c": HEAD + "static int go(void)\n{\n    return 0;\n}\n"})
        self.silent({"src/store/log.c": HEAD + "int store_log_go(void)\n{\n    return 0;\n}\n"})

    def test_a_header_of_tests_is_a_test(self):
        text = (HEAD + "#pragma once\n#include <stdlib.h>\nstatic inline char *go(void)\n{\n"
                       "    return getenv(\"A\");\n}\n")
        user = HEAD + '#include "store/x_fixture.h"\n'
        self.silent({"src/store/x_fixture.h": text, "src/store/x_test.c": user})
        self.assertEqual(rules_of({"src/store/x_fixture.h": text, "src/store/x_test.c": user,
                                   "src/store/x.c": user}), ["name", "system-call"])

    def test_a_file_split_from_another_keeps_its_names(self):
        text = HEAD + "int store_log_go(void)\n{\n    return 0;\n}\n"
        self.fires("name", {"src/store/log_read.c": text})
        self.silent({"src/store/log_read.c": text, "src/store/log.h": HEAD + "#pragma once\n"})

    def test_function_limits(self):
        self.silent({"src/store/log.c": body("    value++;\n" * 66)})
        self.fires("function-lines", {"src/store/log.c": body("    value++;\n" * 67)})
        five = ", ".join(f"int v{index}" for index in range(5))
        self.silent({"src/store/log.c": body("", f"int store_log_go({five})")})
        self.fires("parameters", {"src/store/log.c": body("", f"int store_log_go({five}, int w)")})

    def test_nesting(self):
        def nested(depth):
            text = ""
            for level in range(depth):
                text += " " * 4 * (level + 1) + ("for (;;)\n" if level % 2 else "if (value)\n")
            return text + " " * 4 * (depth + 1) + "value++;\n"
        self.silent({"src/store/log.c": body(nested(4))})
        self.fires("nesting", {"src/store/log.c": body(nested(5))})
        braces = "".join(" " * 4 * (level + 1) + "while (value) {\n" for level in range(5))
        braces += " " * 24 + "value++;\n"
        braces += "".join(" " * 4 * (level + 1) + "}\n" for level in reversed(range(5)))
        self.fires("nesting", {"src/store/log.c": body(braces)})
        deep_values = ("    int x[1][1][1] = {\n        {\n            {\n" + " " * 32 +
                       "1,\n            },\n        },\n    };\n    value = x[0][0][0];\n")
        self.silent({"src/store/log.c": body(deep_values)})

    def test_file_limits(self):
        self.fires("file-lines", {"src/store/log.c": HEAD + "\n" * 719})
        self.silent({"src/store/log.c": HEAD + "\n" * 718})
        self.fires("columns", {"src/store/log.c": HEAD + "// " + "x" * 98 + "\n"})
        self.silent({"src/store/log.c": HEAD + "// " + "x" * 97 + "\n"})

    def test_calls(self):
        for name in ("strcpy", "sprintf", "strtok", "atoi", "rand", "time", "alloca", "sleep"):
            self.fires("banned-call", {"src/store/log.c": body(f"    {name}(value);\n")})
        for name in ("socket", "read", "open", "clock_gettime", "pthread_create", "fopen"):
            self.fires("system-call", {"src/store/log.c": body(f"    {name}(value);\n")})
        self.silent({"src/os/posix.c": body("    read(value);\n", "int os_posix_go(int value)")})
        self.silent({"src/store/log.c": body("    os->ops->read(value);\n    x.open(value);\n")})
        self.silent({"src/store/log.c": body('    // strcpy(a, b)\n    go("gets(x)");\n')})

    def test_words(self):
        self.fires("marker", {"src/store/log.c": HEAD + f"// {layout.MARKERS[0]}: later\n"})
        self.fires("marker", {"docs/x.md": f"{layout.MARKERS[1]}\n"})
        self.fires("typedef", {"src/store/log.c": HEAD + "typedef struct a b;\n"})
        self.silent({"src/store/log.c": HEAD + "typedef enum err (*store_log_fn)(void *arg);\n"})

    def test_rooms(self):
        self.fires("room-readme", {"src/store/x.c": HEAD, "src/store/README.md": None})
        self.fires("room-unknown", {"src/attic/x.c": HEAD, "src/attic/README.md": "# attic\n"})
        self.fires("room-depth", {"src/store/deep/x.c": HEAD})


class Globals(unittest.TestCase):
    def names_of(self, source):
        with tempfile.TemporaryDirectory() as folder:
            room = pathlib.Path(folder, "src/store")
            room.mkdir(parents=True)
            (room / "x.c").write_text(source)
            subprocess.run(["gcc", "-fPIE", "-c", "x.c", "-o", "x.o"], cwd=room, check=True)
            subprocess.run(["ar", "rcs", "libleat_store.a", "x.o"], cwd=room, check=True)
            findings = layout.check_globals(pathlib.Path(folder))
            return [finding.text.split()[0] for finding in findings]

    def test_variables_are_found(self):
        self.assertEqual(self.names_of("int counter = 1; static int hidden; "
                                       "int go(void) { return hidden++; }"), ["hidden", "counter"])
        self.assertEqual(self.names_of("_Thread_local int each;"), ["each"])

    def test_constants_are_fine(self):
        self.assertEqual(self.names_of('const char *const names[] = {"a", "b"}; '
                                       "const int numbers[] = {1, 2};"), [])

    def test_instrumented_builds_are_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            cache = pathlib.Path(folder, "CMakeCache.txt")
            for text, plain in (("LEAT_SANITIZE:STRING=address\n", False),
                                ("LEAT_SANITIZE:STRING=\n", True),
                                ("LEAT_FUZZ:UNINITIALIZED=ON\n", False),
                                ("LEAT_COVERAGE:BOOL=ON\n", False),
                                ("LEAT_COVERAGE:BOOL=OFF\n", True)):
                cache.write_text(text)
                self.assertEqual(layout.is_plain(pathlib.Path(folder)), plain, text)


if __name__ == "__main__":
    unittest.main()
