#!/usr/bin/env python3
"""Prints how many lines of each room the tests executed, from gcov's counts of a coverage build."""
# SPDX-License-Identifier: Apache-2.0
import collections
import gzip
import json
import pathlib
import subprocess
import sys


def counts_of(data_file):
    """Yields (source path, line number, executed) for everything one .gcda file knows."""
    done = subprocess.run(
        ["gcov", "--json-format", "--stdout", data_file.name],
        cwd=data_file.parent, capture_output=True, check=True)
    text = done.stdout
    if text[:2] == b"\x1f\x8b":
        text = gzip.decompress(text)
    for document in text.decode().splitlines():
        report = json.loads(document)
        where = pathlib.Path(report["current_working_directory"])
        for file in report["files"]:
            path = (where / file["file"]).resolve()
            for line in file["lines"]:
                yield path, line["line_number"], line["count"] > 0


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: coverage.py ROOT BUILD")
    root, build = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    lines = collections.defaultdict(dict)
    for data_file in sorted(build.rglob("*.gcda")):
        for path, number, executed in counts_of(data_file):
            if path.is_relative_to(root / "src") and not path.stem.endswith(("_test", "_fuzz")):
                lines[path][number] = lines[path].get(number, False) or executed
    rooms = collections.defaultdict(lambda: [0, 0])
    print(f"{'lines':>7} {'covered':>8}  file")
    for path, found in sorted(lines.items()):
        covered = sum(found.values())
        share = 100 * covered / len(found)
        print(f"{len(found):7} {share:7.1f}%  {path.relative_to(root)}")
        room = rooms[path.relative_to(root / "src").parts[0]]
        room[0] += len(found)
        room[1] += covered
    print()
    for room, (total, covered) in sorted(rooms.items()):
        print(f"{total:7} {100 * covered / total:7.1f}%  {room}")
    total = sum(room[0] for room in rooms.values())
    covered = sum(room[1] for room in rooms.values())
    if total == 0:
        sys.exit("coverage: nothing was counted")
    print(f"{total:7} {100 * covered / total:7.1f}%  all rooms")


main()
