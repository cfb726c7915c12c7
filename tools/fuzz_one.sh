#!/bin/sh
# Runs one fuzz target for some seconds over its corpus; new finds stay beside the binary.
# SPDX-License-Identifier: Apache-2.0
set -eu

[ $# -eq 2 ] || { echo "usage: fuzz_one.sh BINARY SECONDS" >&2; exit 2; }
binary=$1
seconds=$2
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
name=$(basename "$binary" _fuzz)
finds="$binary.finds"
corpus="$root/fuzz/corpus/$name"
[ -d "$corpus" ] || { echo "fuzz_one: no corpus at fuzz/corpus/$name" >&2; exit 1; }
mkdir -p "$finds"
# Files named crash-* or timeout-* beside the binary are the inputs that failed.
exec "$binary" "-max_total_time=$seconds" -timeout=10 -rss_limit_mb=1024 \
    -verbosity=0 -print_final_stats=1 "-artifact_prefix=$binary." "$finds" "$corpus"
