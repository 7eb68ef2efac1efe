"""Clients that come too often: guesses at the password, requests, connections."""

import contextlib
import socket
import time
from collections.abc import Callable

from tests.edge.edge import HTTP, HTTPS
from tests.edge.siege import Siege
from tests.edge.table.row import Row
from tests.edge.wire import answer, read

LIMIT = 600
"""The default of sourceLimit: requests, and connections, in ten seconds."""
API = "/api/v1/main/flows/search"
SERVED = (200, 401)
"""What a page is answered where it is let through: Kestra may ask for a log-in."""


def guessing(*lines: str, header: str = "Authorization: Basic wrong{}") -> Callable[[Siege], int]:
    """Guess passwords; return what the right one is told afterwards, if others are still let in."""

    def how(s: Siege) -> int:
        said = [s.get(API, header.format(n), *(line.format(n) for line in lines)).status for n in range(22)]
        assert said[:20] == [401] * 20, said
        assert s.elsewhere(40).call(s.login).status == 200
        return s.call(s.login).status

    return how


def guessing_by_form(s: Siege) -> int:
    """Guess passwords as the log-in page sends them."""
    said = [s.post(method="POST", path=API, signed=False).status for _ in range(22)]
    assert said[:20] == [401] * 20, said
    return s.call(s.login).status


def asking(s: Siege) -> int:
    """Call the API without a log-in, again and again; return what is said in the end."""
    page = s.request(method="GET", path=API, signed=False, length=False, body=b"")
    with s.line.tls() as connection:
        for _ in range(103):
            connection.sendall(page)
            said = answer(connection)
    return said.status


def requests(to: int) -> Callable[[Siege], int]:
    """Ask on one connection, more than the limit; return what is said in the end."""

    def how(s: Siege) -> int:
        page = s.request(method="GET", path="/nowhere", signed=False, length=False, body=b"")
        came, count = b"", 0
        with s.line.tls() if to == HTTPS else s.line.plain(to) as connection:
            for _ in range(LIMIT // 50 + 1):
                connection.sendall(page * 50)
                count += 50
                while came.count(b"HTTP/1.1 ") < count and (data := read(connection)):
                    came += data
        return int(came.rpartition(b"HTTP/1.1 ")[2][:3])

    return how


def connections(to: int) -> Callable[[Siege], int]:
    """Hold more connections than one source may; return 1 if those above 100 are refused and others served."""
    return lambda s: _connections(s, to)


def _connections(s: Siege, to: int) -> int:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(s.line.plain(to)) for _ in range(120)]
        for each in opened:
            each.setblocking(False)
        refused: set[socket.socket] = set()
        end = time.monotonic() + 2  # from 3 s on the edge closes those that say nothing
        while len(refused) < 15 and time.monotonic() < end:
            time.sleep(0.5)  # so that those above 20 are seen too
            for each in opened:
                with contextlib.suppress(BlockingIOError):
                    if not each.recv(1):
                        refused.add(each)
        assert s.elsewhere(41).get().status in SERVED
    return int(15 <= len(refused) <= 20)


def reconnecting(s: Siege) -> int:
    """Connect more often than the limit; return 1 if that is refused in the end, and others are served."""
    for _ in range(20):
        with contextlib.ExitStack() as stack:
            for _ in range(90):
                stack.enter_context(s.line.plain())
            time.sleep(0.2)  # one that is closed too soon never comes to the edge
        time.sleep(0.2)  # and these must have gone, or it is their number that counts
        if all(_refused(s) for _ in range(20)):
            assert s.elsewhere(42).get().status in SERVED
            return 1
    return 0


def _refused(s: Siege) -> bool:
    with s.line.plain() as connection:
        connection.settimeout(1)
        try:
            return not read(connection)
        except TimeoutError:
            return False


ROWS = [
    Row("a right log-in", lambda s: s.call(s.login), 200, passes=1),
    Row("guessing the password", guessing(), 429, passes=None),
    Row("guessing it from behind other addresses", guessing("X-Forwarded-For: 192.0.2.{}"), 429, passes=None),
    Row("guessing it in cookies", guessing(header="Cookie: BASIC_AUTH=wrong{}"), 429, passes=None),
    Row("guessing it in forms", guessing_by_form, 429, passes=None),
    Row("asking without a log-in", asking, 429, passes=None),
    Row("601 requests in ten seconds", requests(HTTPS), 429),
    Row("601 requests without TLS", requests(HTTP), 429),
    Row("120 connections without TLS", connections(HTTP), 1, passes=None, alone=True),
    Row("120 connections of one source", connections(HTTPS), 1, passes=None, alone=True),
    Row("601 connections one after the other", reconnecting, 1, passes=None),
]
