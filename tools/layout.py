#!/usr/bin/env python3
"""Checks the rules of the house: walls between rooms, names, sizes, banned words and calls."""
# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

LINES_MAX = 720
COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 5
NESTING_MAX = 4
INDENT = 4

SPDX = "SPDX-License-Identifier: Apache-2.0"
MARKERS = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
SKIPPED_FOLDERS = {"build", ".git", "node_modules", "__pycache__", "leat-data", "corpus"}
C_SUFFIXES = {".c", ".h"}
CODE_SUFFIXES = {".c", ".h", ".def", ".py", ".sh", ".js", ".mjs", ".cmake"}
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".txt", ".msg", ".conf", ".service", ".json"}

# Rooms whose public names need no room in front.
SHORT_NAME_ROOMS = {
    "base": "the language of all others",
    "record": "the language of all others",
    "reactor": "cores and connections are words of every room above",
    "store": "the parts of the log are seen by no other room",
}

# Calls that no file may make.
BANNED_CALLS = set("""
    strcpy strcat sprintf vsprintf gets strtok atoi atol atoll alloca rand srand random time
    localtime gmtime ctime asctime sleep usleep nanosleep
""".split())

# Calls that only the room os may make; tests may.
SYSTEM_CALLS = set("""
    socket bind listen accept accept4 connect shutdown send sendto sendmsg sendmmsg recv recvfrom
    recvmsg read write pread pwrite preadv preadv2 pwritev pwritev2 readv writev open openat creat
    close lseek fsync fdatasync syncfs fallocate posix_fallocate ftruncate truncate stat fstat lstat
    statvfs fstatvfs unlink unlinkat rename renameat mkdir mkdirat rmdir opendir readdir closedir
    mmap munmap mremap madvise sendfile splice poll ppoll select pselect eventfd signalfd
    clock_gettime gettimeofday clock_nanosleep getrandom getentropy fork vfork execv execve
    posix_spawn system popen kill raise signal sigaction fopen freopen fdopen fclose fread fwrite
    fgets fputs fprintf vfprintf printf vprintf puts putchar getenv setenv exit _exit getaddrinfo
    gethostbyname thrd_create mtx_lock dup dup2 fcntl flock ioctl setsockopt getsockopt getpid
    sched_setaffinity sched_yield syscall
""".split())
SYSTEM_CALL_FAMILIES = ("pthread_", "epoll_", "io_uring_", "timerfd_", "inotify_", "sem_")

# The exceptions, each with its reason.
CALLS_ALLOWED = {
    ("src/base/check.c", "fprintf"): "the last words before abort, in every build",
    ("src/base/check.c", "vfprintf"): "the last words before abort, in every build",
    ("src/base/buf.c", "mmap"): "pools give memory back, which malloc does not promise",
    ("src/base/buf.c", "munmap"): "as mmap",
    ("src/base/buf.c", "madvise"): "as mmap",
    ("src/server/main.c", "getenv"): "main hands the environment down as a callback",
    ("src/server/main.c", "fprintf"): "main alone speaks to the terminal",
    ("src/server/main.c", "printf"): "main alone speaks to the terminal",
    ("src/server/main.c", "fputs"): "main alone speaks to the terminal",
    ("src/server/main.c", "puts"): "main alone speaks to the terminal",
    ("src/server/main.c", "fwrite"): "main alone speaks to the terminal",
    ("src/server/main.c", "getpid"): "main hands the process id down",
}
NAMES_ALLOWED = {
    "main": "the language demands it",
    "LLVMFuzzerTestOneInput": "libFuzzer demands it",
    "LLVMFuzzerInitialize": "libFuzzer demands it",
}
PREFIXES_ALLOWED = {
    ("src/base/metrics", "metric"): "the file is about all of them, a call about one",
    ("src/base/metrics", "histogram"): "a histogram is a row of counters",
    ("src/base/err", "diag"): "the words that go with an error",
    ("src/base/torture_test", "__wrap"): "the linker's --wrap demands it",
    ("src/record/torture_test", "__wrap"): "the linker's --wrap demands it",
    ("src/os/fake_torture", "__wrap"): "the linker's --wrap demands it",
    ("src/record/batch", "record"): "a batch's file walks its records too",
    ("src/broker/store_fixture", "store"): "stands in for the room below",
    ("src/server/pages_fixture", "store"): "stands in for the room below",
    ("src/server/pages_fixture", "admin"): "stands in for the room below",
    ("src/kafka/state", "kafka_core"): "the room's own state on a core",
    ("src/broker/state", "broker_core"): "the room's own state on a core",
}
PARAMETERS_ALLOWED = {
    "src/os/": "the table follows the kernel's own calls, plus the os",
}
GLOBALS_ALLOWED = {}

TOKEN = re.compile(r"[A-Za-z_]\w*|->|\.\.\.|\d[\w.]*|\n|[^\s\w]")
CONTROL = {"if", "for", "while", "switch"}


class Finding:
    """One broken rule: where, which, and what about it."""

    def __init__(self, path, line, rule, text):
        self.path, self.line, self.rule, self.text = path, line, rule, text

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


class Tree:
    """The files below root that the rules apply to; paths are relative to root."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = sorted(self._walk())
        self.rooms = self._read_rooms()
        self._texts = {}
        self.test_headers = self._find_test_headers()

    def _walk(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
            for name in names:
                path = pathlib.Path(folder, name).relative_to(self.root)
                if path.suffix in TEXT_SUFFIXES or (self.root / path).stat().st_mode & 0o111:
                    yield path

    def _read_rooms(self):
        rooms = {}
        path = self.root / "src/ROOMS"
        for line in path.read_text().splitlines() if path.exists() else []:
            if match := re.fullmatch(r"([a-z]+):\s*(.*)", line):
                rooms[match[1]] = set(match[2].split()) | {match[1]}
        return rooms

    def text(self, path):
        if path not in self._texts:
            self._texts[path] = (self.root / path).read_text(encoding="utf-8", errors="replace")
        return self._texts[path]

    def c_files(self):
        return [path for path in self.files if path.suffix in C_SUFFIXES]

    def _find_test_headers(self):
        """Headers that only tests include are tests themselves."""
        includers = {}
        for path in self.c_files():
            for target in re.findall(r'#\s*include\s+"([^"]+)"', self.text(path)):
                includers.setdefault(pathlib.Path("src", target), []).append(path)
        found = set()
        for _ in range(3):
            found |= {header for header, users in includers.items()
                      if all(is_test(user) or user in found for user in users)
                      and header.suffix == ".h"}
        return found

    def is_test(self, path):
        return is_test(path) or path in self.test_headers

    def room_of(self, path):
        return path.parts[1] if path.parts[0] == "src" and len(path.parts) > 2 else None


def is_test(path):
    return path.stem.endswith(("_test", "_fuzz")) or path.parts[0] in ("test", "bench")


def blank(match):
    """Keeps the shape of a comment or literal, so that lines and columns stay."""
    text = match[0]
    if text[0] in "\"'":
        return text[0] + re.sub(r"[^\n]", "_", text[1:-1]) + text[-1]
    return re.sub(r"[^\n]", " ", text)


def strip(text):
    """C without comments and without what is inside literals; every line keeps its number."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.DOTALL)


# --- rules on lines and files -----------------------------------------------------------------


def check_sizes(tree):
    for path in tree.files:
        if path.suffix not in CODE_SUFFIXES and path.suffix:
            continue
        lines = tree.text(path).splitlines()
        if len(lines) > LINES_MAX:
            yield Finding(path, len(lines), "file-lines", f"{len(lines)} of {LINES_MAX} lines")
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                yield Finding(path, number, "columns", f"{len(line)} columns")


def check_heads(tree):
    for path in tree.files:
        if path.suffix in {".c", ".h", ".def", ".js", ".mjs"}:
            sentence = r"// \S.*\.$"
        elif path.suffix in {".py", ".sh"} or not path.suffix:
            sentence = r'(# |""")\S.*\.("""(?!.)|$)'
        else:
            continue
        lines = tree.text(path).splitlines()
        if not path.suffix and (not lines or not lines[0].startswith("#!")):
            continue
        if lines and lines[0].startswith("#!"):
            lines = lines[1:]
        if not lines or not re.match(sentence, lines[0]):
            yield Finding(path, 1, "head", "the first line is no comment that is a sentence")
        if len(lines) < 2 or lines[1] not in (f"// {SPDX}", f"# {SPDX}"):
            yield Finding(path, 2, "spdx", f"the second line is not '{SPDX}' as a comment")


def check_markers(tree):
    pattern = re.compile(r"\b(" + "|".join(MARKERS) + r")\b")
    for path in tree.files:
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if match := pattern.search(line):
                yield Finding(path, number, "marker", f"'{match[1]}': do it or leave it")


def check_rooms(tree):
    folders = {tree.room_of(path) for path in tree.c_files()} - {None}
    for room in sorted(folders):
        if room not in tree.rooms:
            yield Finding(f"src/{room}", 1, "room-unknown", "not in src/ROOMS")
        if not (tree.root / "src" / room / "README.md").exists():
            yield Finding(f"src/{room}", 1, "room-readme", "the room has no README.md")
    for path in tree.files:
        if path.parts[0] == "src" and len(path.parts) > 3:
            yield Finding(path, 1, "room-depth", "rooms have no folders inside")


# --- rules on includes ------------------------------------------------------------------------


def check_includes(tree):
    for path in tree.c_files():
        room = tree.room_of(path)
        text = tree.text(path)
        for number, line in enumerate(text.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
            if not match:
                continue
            target = match[1]
            if "../" in target:
                yield Finding(path, number, "include-up", f"'{target}': include by path from src/")
            elif room and '"' in line:
                yield from check_wall(tree, path, number, target)
        if path.suffix == ".h" and "#pragma once" not in text:
            yield Finding(path, 1, "pragma-once", "a header says #pragma once")


def check_wall(tree, path, number, target):
    room = tree.room_of(path)
    used = target.split("/")[0]
    if "/" not in target:
        yield Finding(path, number, "include-path", f"'{target}': include by path from src/")
    elif used in tree.rooms and used not in tree.rooms.get(room, {room}) and not (
            tree.is_test(path) and target.startswith("os/fake")):
        yield Finding(path, number, "wall", f"{room} may not use {used} (src/ROOMS)")


def check_headers_alone(tree, build):
    command = ["gcc", "-fsyntax-only", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Werror",
               "-iquote", str(tree.root / "src")]
    if build:
        command += ["-iquote", str(build / "gen")]
    for path in tree.c_files():
        if path.suffix != ".h" or path.parts[0] != "src":
            continue
        done = subprocess.run(
            command + ["-include", str(tree.root / path), "-x", "c", "/dev/null"],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            first = next((line for line in done.stderr.splitlines() if "error" in line), "")
            yield Finding(path, 1, "header-alone", f"does not compile alone: {first}")


# --- rules on calls and words -----------------------------------------------------------------


def calls_of(text):
    """(line, name) of everything that looks like a direct call."""
    for number, line in enumerate(strip(text).splitlines(), 1):
        if line.lstrip().startswith("#define") or not line:
            line = re.sub(r"#\s*define\s+\w+(\([^)]*\))?", "", line)
        for match in re.finditer(r"(->|\.|\b)?\s*\b([A-Za-z_]\w*)\s*\(", line):
            before = line[: match.start(2)].rstrip()
            if not before.endswith(("->", ".")):
                yield number, match[2]


def check_calls(tree):
    for path in tree.c_files():
        room = tree.room_of(path)
        for number, name in calls_of(tree.text(path)):
            if (str(path), name) in CALLS_ALLOWED:
                continue
            if name in BANNED_CALLS:
                yield Finding(path, number, "banned-call", f"{name}()")
            elif room and room not in ("os", "cli") and not tree.is_test(path) and (
                    name in SYSTEM_CALLS or name.startswith(SYSTEM_CALL_FAMILIES)):
                yield Finding(path, number, "system-call", f"{name}(): only os/ may")


def check_typedefs(tree):
    for path in tree.c_files():
        for number, line in enumerate(strip(tree.text(path)).splitlines(), 1):
            if re.match(r"\s*typedef\s+(struct|enum|union)\b(?!.*\()", line):
                yield Finding(path, number, "typedef", "structs and enums keep their keyword")


# --- rules on functions -----------------------------------------------------------------------


class Function:
    """One definition as ctags sees it."""

    def __init__(self, tag):
        self.path = pathlib.Path(tag["path"])
        self.name = tag["name"]
        self.line = tag["line"]
        self.end = tag.get("end", tag["line"])
        self.is_static = bool(tag.get("file")) or tag.get("is_static", False)
        self.signature = tag.get("signature", "()")


def functions_of(tree):
    paths = [str(path) for path in tree.c_files()]
    if not paths:
        return []
    done = subprocess.run(
        ["ctags", "--output-format=json", "--language-force=C", "--kinds-C=f",
         "--fields=+neSf", "-L", "-", "-f", "-"],
        cwd=tree.root, input="\n".join(paths), capture_output=True, text=True, check=True)
    functions = [Function(json.loads(line)) for line in done.stdout.splitlines()]
    for function in functions:
        lines = tree.text(function.path).splitlines()
        start = lines[max(function.line - 2, 0): function.line]
        head = lines[function.line - 1]
        if re.match(r"(static|inline)\b", head) or (
                not re.match(r"\w+.*\w+\s*\(.*", head) and start and start[0].startswith("static")):
            function.is_static = True
    return functions


def parameter_count(signature):
    inside = signature.strip()[1:-1].strip()
    if inside in ("", "void"):
        return 0
    depth = 0
    commas = 0
    for char in inside:
        depth += char in "([{"
        depth -= char in ")]}"
        commas += char == "," and depth == 0
    return commas + 1


def check_functions(tree, functions):
    for function in functions:
        where = (function.path, function.line)
        lines = function.end - function.line + 1
        if lines > FUNCTION_LINES_MAX:
            yield Finding(*where, "function-lines", f"{function.name}() has {lines} lines")
        count = parameter_count(function.signature)
        kernel_like = str(function.path).startswith(tuple(PARAMETERS_ALLOWED))
        if count > PARAMETERS_MAX and not kernel_like and not tree.is_test(function.path):
            yield Finding(*where, "parameters", f"{function.name}() takes {count} parameters")
        depth, line = nesting(tree, function)
        if depth > NESTING_MAX:
            yield Finding(function.path, line, "nesting", f"{function.name}() nests {depth} deep")


def nesting(tree, function):
    """The deepest statement, by the indentation that clang-format enforces, and its line."""
    body = strip(tree.text(function.path)).splitlines()[function.line - 1: function.end]
    stack = []  # of "block", "value" (braces) and "(" with the token before it
    opened = ""
    before = ""
    deepest = (0, function.line)
    for number, line in enumerate(body):
        tokens = [] if line.lstrip().startswith("#") else TOKEN.findall(line)
        for position, token in enumerate(tokens):
            starts = position == 0 and stack and stack[-1] == "block"
            if starts and (before in (";", "{", "}", ":", "else", "do") or opened == "control"):
                indent = len(line) - len(line.lstrip())
                if token not in ("}", "{"):
                    deepest = max(deepest, (indent // INDENT - 1, function.line + number))
            before, opened = step(stack, token, before, opened)
    return deepest


def step(stack, token, before, opened):
    """Follows brackets; opened says what the bracket that just closed belonged to."""
    after = ""
    if token == "(":
        control = before in CONTROL or "for_each" in before
        stack.append("(control" if control else "(call" if re.match(r"\w", before) else "(")
    elif token == ")" and stack and stack[-1].startswith("("):
        after = stack.pop()[1:]
    elif token == "{":
        inside = stack[-1] if stack else "block"
        is_block = inside == "block" and before not in ("=", ",", "return", "(") and (
            before != ")" or opened in ("control", "call"))
        stack.append("block" if is_block else "value")
    elif token == "}" and stack:
        stack.pop()
    return token, after


def name_prefixes(tree, path):
    """What a public function of this file may start with."""
    room = tree.room_of(path)
    parts = path.stem.split("_")
    for count in range(len(parts), 0, -1):
        stem = "_".join(parts[:count])
        split_of = any((tree.root / path.parent / (stem + end)).exists() for end in (".h", ".c"))
        if count < len(parts) and not split_of:
            continue
        yield room if stem == room else f"{room}_{stem}"
        if room in SHORT_NAME_ROOMS:
            yield stem
    for file, prefix in PREFIXES_ALLOWED:
        if file == str(path.with_suffix("")):
            yield prefix


def check_names(tree, functions):
    for function in functions:
        path = function.path
        public = not function.is_static or path.suffix == ".h"
        own = tree.is_test(path) and function.is_static
        if own or not public or not tree.room_of(path) or function.name in NAMES_ALLOWED:
            continue
        prefixes = list(name_prefixes(tree, path))
        if not any(function.name == prefix or function.name.startswith(prefix + "_")
                   for prefix in prefixes):
            yield Finding(path, function.line, "name",
                          f"{function.name}() does not start with {prefixes[0]}_")


# --- rules on object files --------------------------------------------------------------------


def is_plain(build):
    """Sanitizers and coverage add globals of their own: only plain builds are looked at."""
    cache = build / "CMakeCache.txt"
    text = cache.read_text() if cache.exists() else ""
    return not re.search(
        r"^LEAT_(SANITIZE:\w+=\w|FUZZ:\w+=(ON|1)|COVERAGE:\w+=(ON|1))", text, re.MULTILINE)


def check_globals(build):
    for library in sorted(build.glob("src/*/libleat_*.a")):
        done = subprocess.run(
            ["objdump", "-t", str(library)], capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            match = re.match(r"[0-9a-f]+ .{5}[^d]. (\S+)\s+([0-9a-f]+)\s+(.*)$", line)
            if not match or int(match[2], 16) == 0:
                continue
            section, name = match[1], match[3].split()[-1]
            writable = re.match(r"\.(data|bss|tdata|tbss)|\*COM\*", section)
            if writable and not section.startswith(".data.rel.ro") and name not in GLOBALS_ALLOWED:
                yield Finding(library.name, 1, "global", f"{name} in {section} can be written")


# --- all together -----------------------------------------------------------------------------


def check_all(root, build=None):
    """Every finding in the tree below root; build adds what needs a build folder."""
    tree = Tree(root)
    build = pathlib.Path(build).resolve() if build else None
    functions = functions_of(tree)
    findings = []
    for found in (check_sizes(tree), check_heads(tree), check_markers(tree), check_rooms(tree),
                  check_includes(tree), check_headers_alone(tree, build), check_calls(tree),
                  check_typedefs(tree), check_functions(tree, functions),
                  check_names(tree, functions)):
        findings.extend(found)
    if build and is_plain(build):
        findings.extend(check_globals(build))
    return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--build", help="a build folder: generated headers, object files")
    arguments = parser.parse_args()
    findings = check_all(arguments.root, arguments.build)
    for finding in findings:
        print(finding)
    print(f"layout: {len(findings)} findings" if findings else "layout: the house is in order")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
