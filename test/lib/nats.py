"""A raw NATS client: bytes in, bytes out, nothing understood."""
# SPDX-License-Identifier: Apache-2.0
import json
import socket

CONNECT = {"verbose": False, "pedantic": False, "protocol": 1, "headers": True,
           "no_responders": True, "echo": True}


class Client:
    """One connection; the server's first INFO is in info."""

    def __init__(self, port, timeout_s=10, connect=True, **fields):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        line = self.line()
        if not line or not line.startswith(b"INFO "):
            raise AssertionError(line)
        self.info = json.loads(line[5:])
        if connect:
            self.connect(**fields)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def connect(self, **fields):
        self.send(b"CONNECT " + json.dumps({**CONNECT, **fields}).encode() + b"\r\n")

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def line(self):
        """The next line without its end; None when the server has closed."""
        while b"\r\n" not in self.buffer:
            if not self._more():
                return None
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take(self, size):
        while len(self.buffer) < size:
            if not self._more():
                raise AssertionError(f"closed after {self.buffer!r}")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def spoken(self):
        """The next line that is neither INFO nor PING, which is answered."""
        while True:
            line = self.line()
            if line == b"PING":
                self.send(b"PONG\r\n")
            elif line is None or not line.startswith(b"INFO "):
                return line

    def message(self):
        """(line, payload) of the next MSG or HMSG."""
        line = self.spoken()
        if not line or not line.startswith((b"MSG ", b"HMSG ")):
            raise AssertionError(line)
        payload = self.take(int(line.split()[-1]) + 2)
        return line, payload[:-2]

    def until_closed(self):
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def flush(self):
        """PING; everything that came before PONG, INFO left out."""
        self.send(b"PING\r\n")
        got = []
        while True:
            line = self.spoken()
            if line == b"PONG":
                return b"".join(got)
            if line is None:
                raise AssertionError(f"closed after {got!r}")
            got.append(line + b"\r\n")
