"""A proxy of one port that cuts its connections at the worst moments when told to."""
# SPDX-License-Identifier: Apache-2.0
import selectors
import socket
import threading

PIECE_BYTES = 65536


class Cutter:
    """Passes bytes on between clients and one server port.

    cut() closes every connection; with cut_answers the next answers are swallowed first, so that
    requests arrive whose acknowledgement never does.
    """

    def __init__(self, target_port=None):
        self.target_port = target_port  # may be set later, before the first client
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wake, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ)
        self.peers = {}
        self.from_server = set()
        self.swallow = False
        self.orders = []
        self.lock = threading.Lock()
        self.cuts = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def cut(self):
        """Closes every connection; returns when that is done."""
        self._order("cut")

    def swallow_answers(self):
        """From now on nothing that the server says arrives, until the next cut."""
        self._order("swallow")

    def close(self):
        self._order("end")
        self.thread.join(10)

    def _order(self, what):
        done = threading.Event()
        with self.lock:
            self.orders.append((what, done))
        self.wake.send(b"x")
        done.wait(10)

    def _run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj is self.woken:
                    self.woken.recv(100)
                elif key.fileobj in self.peers:
                    self._pass_on(key.fileobj)
            with self.lock:
                orders, self.orders = self.orders, []
            for what, done in orders:
                self.swallow = what == "swallow"
                if what != "swallow":
                    self._drop_all()
                done.set()
                if what == "end":
                    self.listener.close()
                    return

    def _accept(self):
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.target_port), timeout=10)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[one] = other
            self.selector.register(one, selectors.EVENT_READ)
        self.from_server.add(server)

    def _pass_on(self, source):
        try:
            data = source.recv(PIECE_BYTES)
            if data and not (self.swallow and source in self.from_server):
                self.peers[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(source)

    def _drop(self, one):
        for end in (one, self.peers[one]):
            self.selector.unregister(end)
            self.from_server.discard(end)
            self.peers.pop(end)
            end.close()

    def _drop_all(self):
        while self.peers:
            self._drop(next(iter(self.peers)))
            self.cuts += 1
