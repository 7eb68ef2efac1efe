"""Clients that take their time, which holds a place that somebody else needs."""

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import replace

from tests.edge.siege import PAGE, Siege
from tests.edge.table.row import OPEN, Row
from tests.edge.wire import CLOSED, Answer, answer, closed_within

SLACK = 3.0


def ended(seconds: float, connection: socket.socket) -> int:
    """Return CLOSED if the edge ends a silent connection in about the seconds that it should."""
    with connection:
        took = closed_within(connection, seconds + SLACK)
    return CLOSED if took is not None and took > seconds - SLACK else OPEN


def slow_head(s: Siege) -> int:
    """Send a head a few bytes at a time; return what is said in the end, or OPEN."""
    head, began = s.request(), time.monotonic()
    with s.line.tls() as connection:
        connection.settimeout(0.6)
        for at in range(0, len(head), 4):
            try:
                connection.sendall(head[at : at + 4])
                came = connection.recv(1000)
            except TimeoutError:
                if time.monotonic() - began > 10 + SLACK:
                    return OPEN
                continue
            except OSError:
                return CLOSED
            return int(came.split()[1]) if came else CLOSED
    return OPEN


def half_a_body(s: Siege) -> Answer:
    """Send half of a body, and no more."""
    with s.line.tls() as connection:
        connection.sendall(s.request()[:-8])
        connection.settimeout(8 + SLACK)
        with contextlib.suppress(TimeoutError):
            return answer(connection)
        return Answer(OPEN, {}, b"")


def dripping_body(s: Siege) -> int:
    """Send a body byte by byte: each is in time, all of them are not."""
    whole, began = s.request(), time.monotonic()
    head = len(whole) - len(s.body)
    with s.line.tls() as connection:
        connection.sendall(whole[:head])
        connection.settimeout(0.5)
        for at in range(head, len(whole) - 1):
            try:
                connection.sendall(whole[at : at + 1])
                return int(connection.recv(100).split()[1])
            except TimeoutError:
                if time.monotonic() - began > 8 + SLACK:
                    return OPEN
            except (OSError, IndexError):
                return CLOSED
    return OPEN


def after_tls(s: Siege) -> int:
    """Say nothing after the handshake."""
    return ended(10, s.line.tls())


def between_requests(s: Siege) -> int:
    """Say nothing after an answer."""
    connection = s.line.tls()
    connection.sendall(s.request(method="GET", path=PAGE, signed=False, length=False, body=b""))
    answer(connection)
    return ended(30, connection)


def held(*places: int, large: bool = True) -> Callable[[Siege], int]:
    """Begin deliveries at some sources and finish none but the last; return what that one is told."""

    def how(s: Siege) -> int:
        *begun, last = places
        body = replace(s, body=s.body + b" " * (300000 if large else 30))
        with contextlib.ExitStack() as stack:
            for place in begun:
                connection = stack.enter_context(body.elsewhere(place).line.tls())
                connection.sendall(body.request()[:-4])
            time.sleep(0.5)
            return body.elsewhere(last).post().status

    return how


def unanswered(s: Siege) -> Answer:
    """Deliver where Kestra does not answer."""
    with s.line.tls() as connection:
        connection.sendall(s.request(path=s.path.replace("target", "hanging")))
        connection.settimeout(10 + SLACK)
        with contextlib.suppress(TimeoutError):
            return answer(connection)
        return Answer(OPEN, {}, b"")


TWO_SOURCES = [10] * 40 + [11] * 24
ROWS = [
    Row("the 49th body that one source holds", held(*[9] * 49, large=False), 503, alone=True),
    Row("the 65th body that all hold", held(*TWO_SOURCES, 12, large=False), 503, alone=True),
    Row("the 64th body that all hold", held(*TWO_SOURCES[1:], 13, large=False), 200, passes=1, alone=True),
    Row("Kestra does not answer", unanswered, (404, 504), passes=1, slow=True),
    Row("silence instead of a handshake", lambda s: ended(5, s.line.plain()), CLOSED, slow=True),
    Row("silence after the handshake", after_tls, CLOSED, slow=True),
    Row("silence after an answer", between_requests, CLOSED, passes=1, slow=True),
    Row("a head byte by byte", slow_head, (408, CLOSED), slow=True),
    Row("half a body", half_a_body, 408, slow=True),
    Row("a body byte by byte", dripping_body, 408, slow=True),
    Row("the seventh large body that one source holds", held(1, 1, 1, 1, 1, 1, 1), 503, alone=True),
    Row("the sixth large body that one source holds", held(2, 2, 2, 2, 2, 2), 200, passes=1, alone=True),
    Row("the ninth large body that all hold", held(3, 3, 3, 3, 4, 4, 4, 4, 5), 503, alone=True),
    Row("the eighth large body that all hold", held(6, 6, 6, 6, 7, 7, 7, 8), 200, passes=1, alone=True),
]
