"""Bytes and frames as no client library would send them, over real TLS from a source of one's choice."""

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from lab import keys
from tests.edge.edge import HTTPS, Doorstep

CLOSED = 0
"""The verdict on a request that gets no answer: the connection, or the stream, is just ended."""
PATIENCE = 20.0

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """What came back: the status, or CLOSED, with headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes


NOTHING = Answer(CLOSED, {}, b"")


@dataclass(frozen=True)
class Line:
    """A way to the edge from one source."""

    step: Doorstep
    source: int

    def plain(self, to: int = HTTPS) -> socket.socket:
        """Connect without TLS."""
        return socket.create_connection((self.step.address, self.step.port(self.source, to)), timeout=PATIENCE)

    def tls(self, *, name: str | None = "localhost", alpn: str = "http/1.1") -> ssl.SSLSocket:
        """Connect, greeting the edge by `name`."""
        context = ssl.create_default_context(cadata=keys.ca_certificate())
        context.check_hostname = name == "localhost"
        context.set_alpn_protocols([alpn])
        return context.wrap_socket(self.plain(), server_hostname=name)

    def h1(self, *requests: bytes, name: str | None = "localhost") -> Answer:
        """Send bytes as they are; return the first answer."""
        try:
            with self.tls(name=name) as connection:
                with contextlib.suppress(OSError):  # an answer may be there although the rest was not taken
                    for each in requests:
                        connection.sendall(each)
                return answer(connection)
        except OSError:
            return NOTHING

    def h2(self, headers: Headers, *data: bytes, trailers: Headers = (), name: str | None = "localhost") -> Answer:
        """Send one HTTP/2 request whose headers and data nothing has looked at; return its answer."""
        try:
            with self.tls(name=name, alpn="h2") as connection:
                return _Http2(connection).ask(headers, data, trailers)
        except (OSError, h2.exceptions.H2Error):
            return NOTHING


def read(connection: socket.socket, size: int = 1 << 16) -> bytes:
    """Return what comes next, nothing at the connection's end."""
    try:
        return connection.recv(size)
    except TimeoutError:
        raise
    except OSError:
        return b""


def answer(connection: socket.socket) -> Answer:
    """Read one answer of HTTP/1.1 and leave what follows."""
    came = b""
    while b"\r\n\r\n" not in came or came.startswith(b"HTTP/1.1 1"):
        if came.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in came:
            came = came.partition(b"\r\n\r\n")[2]
            continue
        data = read(connection)
        if not data:
            return NOTHING
        came += data
    head, _, body = came.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = int(headers.get("content-length", 0))
    while len(body) < size and (data := read(connection)):
        body += data
    found = re.match(r"HTTP/1\.[01] (\d{3})", first)
    return Answer(int(found[1]) if found else CLOSED, headers, body)


class _Http2:
    """A connection of HTTP/2 that sends what it is told to."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        # Neither put right nor refused here: that is for the edge to do.
        settings = h2.config.H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.socket, self.state = connection, h2.connection.H2Connection(settings)
        self.state.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())

    def events(self) -> Iterator[h2.events.Event]:
        while data := read(self.socket):
            yield from self.state.receive_data(data)
            self.flush()

    def ask(self, headers: Headers, data: Iterable[bytes], trailers: Headers) -> Answer:
        body = b"".join(data)
        self.state.send_headers(1, list(headers), end_stream=not body and not trailers)
        self.flush()
        status, found, shown = CLOSED, {}, b""
        pending = memoryview(body)
        ended = not body and not trailers
        for event in self._with_first(self.events()):
            if isinstance(event, h2.events.ResponseReceived):
                found = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                status = int(found[":status"])
            elif isinstance(event, h2.events.DataReceived):
                shown += event.data
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
                break
            while pending and (room := self._room()) > 0:
                self.state.send_data(1, bytes(pending[:room]), end_stream=len(pending) <= room and not trailers)
                pending = pending[room:]
                self.flush()
            if not pending and not ended:
                ended = True
                if trailers:
                    self.state.send_headers(1, list(trailers), end_stream=True)
            self.flush()
        return Answer(status, found, shown)

    def _room(self) -> int:
        return min(self.state.local_flow_control_window(1), self.state.max_outbound_frame_size, 1 << 14)

    @staticmethod
    def _with_first(events: Iterator[h2.events.Event]) -> Iterator[h2.events.Event]:
        """Have one event before any came: the window is open from the start."""
        yield h2.events.Event()
        yield from events


def closed_within(connection: socket.socket, seconds: float) -> float | None:
    """Wait for the other end to close, whatever it says before; return after how long, None if it did not."""
    began = time.monotonic()
    connection.settimeout(seconds)
    try:
        while read(connection):
            pass
    except TimeoutError:
        return None
    return time.monotonic() - began
