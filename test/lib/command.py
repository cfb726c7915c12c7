"""Runs the command leat against the server of a test case."""
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import typing

from lib import case

BINARY = os.path.abspath(os.environ["LEAT"]) if os.environ.get("LEAT") else ""
TIMEOUT_S = 60 * case.SLOWER
OK, FAILED, USAGE, NOT_FOUND, DENIED, UNREACHABLE = range(6)


class Done(typing.NamedTuple):
    """What a run of leat left behind."""
    code: int
    out: str
    err: str


def environment(address):
    """The environment of a leat that talks to address, and has no terminal."""
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    kept["LEAT_BOOTSTRAP"] = address
    return kept


def run(address, *args, stdin=None):
    """Runs leat to its end."""
    done = subprocess.run(
        [BINARY, *args], input=(stdin or "").encode() if not isinstance(stdin, bytes) else stdin,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False,
        env=environment(address))
    return Done(done.returncode, done.stdout.decode(errors="replace"),
                done.stderr.decode(errors="replace"))


class CommandCase(case.ServerCase):
    """A test case with a server and the command leat."""

    def leat(self, *args, stdin=None, code=OK):
        """Runs leat, expects the exit code, and gives what it printed on stdout."""
        return self.leat_both(*args, stdin=stdin, code=code).out

    def leat_both(self, *args, stdin=None, code=OK):
        done = run(self.server.address, "--timeout", f"{30 * case.SLOWER}s", *args, stdin=stdin)
        self.assertEqual(done.code, code, f"leat {' '.join(args)}: {done.out}{done.err}")
        return done

    def leat_json(self, *args, code=OK):
        return json.loads(self.leat(*args, "--format", "json", code=code))
