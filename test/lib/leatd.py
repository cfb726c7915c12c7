"""Starts leatd on free ports with temporary data, waits until it is ready, stops and kills it."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

BINARY = os.path.abspath(os.environ["LEATD"]) if os.environ.get("LEATD") else ""
SANITIZER = os.environ.get("LEAT_SANITIZE", "")
SLOWER = {"": 1, "address": 4, "thread": 10}.get(SANITIZER, 4)
READY = re.compile(r"\bready in (\d+(?:\.\d+)?) ?(ms|s)\b")
START_TIMEOUT_S = 30 * SLOWER
STOP_TIMEOUT_S = 30 * SLOWER
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
LINES_SHOWN = 60
# What a server is told that is not to take a fixed port.
QUIET = ("--nats-listen", "none")


class ServerError(Exception):
    """The server did not do what it was told; the text has its last words."""


def free_port():
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One leatd: its process, its data folder and what it said in all of its lives."""

    def __init__(self, args=(), config=None, folder=None, memory="128m", cores=None,
                 nats=False):
        if not BINARY:
            raise ServerError("the environment variable LEATD must name the leatd to test")
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="leat-test-"))
        self.owns_folder = folder is None
        self.data = self.folder / "data"
        self.log = self.folder / "leatd.log"
        self.port = free_port()
        self.nats_port = free_port() if nats else 0
        self.args = list(args)
        self.config = config
        self.memory = memory
        self.cores = cores
        self.process = None
        self.reader = None
        self.ready = threading.Event()
        self.ready_line = ""
        self.lines = []
        self.start_s = 0.0

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        command = [BINARY, "--data", str(self.data), "--listen", self.address]
        command += ["--nats-listen", f"127.0.0.1:{self.nats_port}" if self.nats_port else "none"]
        config = self.folder / "leat.conf"
        config.write_text(self.config or "", encoding="utf-8")
        command += ["--config", str(config)]
        if self.memory:
            command += ["--memory", self.memory]
        if self.cores:
            command += ["--cores", str(self.cores)]
        return command + self.args

    def start(self):
        """Returns when the server said that it is ready; start_s is how long that took."""
        self.ready = threading.Event()
        began = time.monotonic()
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=self.folder)
        self.reader = threading.Thread(
            target=self._read, args=(self.process.stdout, self.ready), daemon=True)
        self.reader.start()
        if not self.ready.wait(START_TIMEOUT_S) or not self.ready_line:
            code = self.process.poll()
            self.kill()
            what = "did not get ready" if code is None else f"ended with {code}"
            raise ServerError(f"leatd {what}:\n{self.tail()}")
        self.start_s = time.monotonic() - began
        return self

    def _read(self, stream, ready):
        self.ready_line = ""
        with open(self.log, "a", encoding="utf-8") as log:
            for raw in stream:
                line = raw.decode(errors="replace")
                log.write(line)
                log.flush()
                self.lines.append(line)
                if READY.search(line) and not ready.is_set():
                    self.ready_line = line.strip()
                    ready.set()
        ready.set()

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, number=signal.SIGTERM):
        """Asks it to leave and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout_s=STOP_TIMEOUT_S):
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"leatd did not leave in {timeout_s} s:\n{self.tail()}") from None
        self._finish()
        return code

    def kill(self):
        """As the kernel would: no word of warning."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._finish()

    def _finish(self):
        if self.reader:
            self.reader.join(10)
            self.reader = None
        if self.process:
            self.process.stdout.close()

    def restart(self, kill=False):
        if kill:
            self.kill()
        else:
            code = self.stop()
            if code != 0:
                raise ServerError(f"leatd left with {code}:\n{self.tail()}")
        return self.start()

    def close(self):
        """Ends the process if need be, and removes everything."""
        self.kill()
        if self.owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def tail(self):
        return "".join(self.lines[-LINES_SHOWN:])

    # --- what the kernel knows about it -----------------------------------------------------------

    def _status_bytes(self, field):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024

    def rss_bytes(self):
        return self._status_bytes("VmRSS")

    def rss_peak_bytes(self):
        return self._status_bytes("VmHWM")

    def cpu_s(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def run(arguments, timeout_s=START_TIMEOUT_S, cwd=None):
    """Runs leatd to its end: (exit code, everything it printed)."""
    done = subprocess.run(
        [BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=timeout_s, check=False, cwd=cwd)
    return done.returncode, done.stdout.decode(errors="replace")
