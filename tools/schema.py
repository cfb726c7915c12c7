#!/usr/bin/env python3
# Makes the Kafka codecs in C from schema/kafka/*.msg (notation: schema/kafka/README.md).
# SPDX-License-Identifier: Apache-2.0
"""usage: schema.py OUT_DIR FILE.msg...   writes kafka_*.h and kafka_*.c that have changed"""

import os
import sys

sys.dont_write_bytecode = True
import schema_codec
import schema_tables
from schema_model import File, SchemaError


def put(folder, name, text):
    """Leaves files alone that would not change, so that nothing is built again for them."""
    path = os.path.join(folder, name)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as old:
            if old.read() == text:
                return
    with open(path, "w", encoding="utf-8") as new:
        new.write(text)


def main(arguments):
    if len(arguments) < 2:
        print(__doc__)
        return 2
    folder = arguments[0]
    os.makedirs(folder, exist_ok=True)
    try:
        files = [File(path) for path in sorted(arguments[1:])]
        for file in files:
            put(folder, "kafka_%s.h" % file.stem, schema_codec.write_header(file))
            put(folder, "kafka_%s.c" % file.stem, schema_codec.write_source(file))
        for name, text in schema_tables.tables(files):
            put(folder, name, text)
    except SchemaError as error:
        print("schema.py: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
