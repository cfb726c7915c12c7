#!/usr/bin/env python3
# Tests that the schema reader refuses mistakes instead of making wrong codecs from them.
# SPDX-License-Identifier: Apache-2.0

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import schema_codec
import schema_tables
from schema_model import File, SchemaError

HEAD = "api Probe key=1 versions=0-3 flexible=2\n\nrequest\n"


def read(text, name="probe"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name + ".msg")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return File(path)


class SchemaTest(unittest.TestCase):
    def refused(self, text, words, name="probe"):
        with self.assertRaises(SchemaError) as caught:
            schema_codec.write_source(read(text, name))
        self.assertIn(words, str(caught.exception))

    def test_mistakes(self):
        self.refused(HEAD + "  a int33\n", "unknown type int33")
        self.refused(HEAD + "  a int32 1+ nullable\n", "unknown word nullable")
        self.refused(HEAD + "  a int32\n    b int32\n", "no struct")
        self.refused(HEAD + "  a []x\n      b int32\n    c int32\n", "wrong indentation")
        self.refused(HEAD + "  a\n", "no type")
        self.refused(HEAD + "  a int32 1-x\n", "not a version range")
        self.refused(HEAD + "  a []x\n    b int32\n  c []x\n    d int32\n", "struct x twice")
        self.refused(HEAD + "  a records tag=0\n", "cannot be tagged")
        self.refused(HEAD, "the file's name", name="other")
        self.refused("field int32\n", "expected")

    def test_same_key(self):
        with self.assertRaises(SchemaError):
            schema_tables.tables([read(HEAD), read(HEAD)])

    def test_versions_are_cut_to_the_struct(self):
        field = read(HEAD + "  a []x 1-2\n    b int32 2+\n").messages[0].root.fields[0]
        inner = field.struct.fields[0].versions
        self.assertEqual((inner.low, inner.high), (2, 2))

    def test_error_codes_are_told_apart(self):
        text = schema_codec.write_source(read(HEAD + "  x_error_code int16\n  code int16\n"))
        self.assertIn("wire_writer_error_code(w, in->x_error_code);", text)
        self.assertIn("wire_writer_int16(w, in->code);", text)

    def test_lines_fit(self):
        text = schema_codec.write_source(read(HEAD + "  %s []%s 1+ null\n    b int32\n" %
                                              ("long_" * 8 + "name", "type_" * 6 + "name")))
        self.assertLessEqual(max(map(len, text.split("\n"))), schema_codec.COLUMNS)


if __name__ == "__main__":
    unittest.main()
