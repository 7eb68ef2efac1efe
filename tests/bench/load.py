"""Load on an edge, and what became of each request of it: a client that counts what it was not answered."""

import contextlib
import hashlib
import hmac
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

TAKEN = ("200", "204")
Connect = Callable[[], socket.socket]
Request = Callable[[int], bytes]


def page(_: int) -> bytes:
    """Return a request for a page."""
    return b"GET /ui/main/flows HTTP/1.1\r\nHost: localhost\r\n\r\n"


def delivery(path: str, secret: Callable[[], str], size: int = 2000) -> Request:
    """Return what makes signed deliveries, each unlike any before."""

    def request(number: int) -> bytes:
        body = f'{{"id": "{time.time_ns()}-{number}"}}'.encode().ljust(size)
        signature = hmac.new(secret().encode(), body, hashlib.sha256).hexdigest()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n"
        return f"{head}X-Hub-Signature-256: sha256={signature}\r\n\r\n".encode() + body

    return request


@dataclass
class Load:
    """Clients that ask one after the other, until the end of the block."""

    connect: Connect
    request: Request
    clients: int
    keep: bool
    """On one connection, as long as the edge keeps it; else on a new one for each request."""
    pause: float = 0.02
    """Seconds between two requests of a client."""
    answers: Counter[str] = field(default_factory=Counter)
    """Status, or what went wrong → how often."""
    seconds: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        """Ask while the block runs."""
        enough = threading.Event()
        threads = [threading.Thread(target=self._client, args=(n, enough)) for n in range(self.clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            enough.set()
            for thread in threads:
                thread.join()

    @property
    def lost(self) -> int:
        """How many requests were not answered, or by an error of the edge's."""
        return sum(count for said, count in self.answers.items() if said not in TAKEN)

    @property
    def sent(self) -> int:
        """How many there were."""
        return sum(self.answers.values())

    def _client(self, number: int, enough: threading.Event) -> None:
        connection: socket.socket | None = None
        while not enough.wait(self.pause):
            began = time.monotonic()
            try:
                connection = connection or self.connect()
                connection.sendall(self.request(number))
                status, kept = _answer(connection)
                self.answers[status] += 1
            except OSError as failed:
                self.answers[type(failed).__name__] += 1
                kept = False
            self.seconds.append(time.monotonic() - began)
            if connection and not (kept and self.keep):
                connection.close()
                connection = None
        if connection:
            connection.close()


def _answer(connection: socket.socket) -> tuple[str, bool]:
    """Return an answer's status, and whether the connection stays."""
    came = b""
    while b"\r\n\r\n" not in came:
        data = connection.recv(1 << 16)
        if not data:
            raise ConnectionResetError("closed without an answer")
        came += data
    head, _, body = came.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
    while len(body) < length:
        data = connection.recv(1 << 16)
        if not data:
            raise ConnectionResetError("closed within an answer")
        body += data
    return lines[0].split()[1], "connection: close" not in lines


def over_tls(port: int, trust: ssl.SSLContext) -> Connect:
    """Return what connects to a published edge."""
    return lambda: trust.wrap_socket(in_the_clear(port)(), server_hostname="localhost")


def in_the_clear(port: int) -> Connect:
    """Return what connects without TLS."""
    return lambda: socket.create_connection(("127.0.0.1", port), timeout=20)
