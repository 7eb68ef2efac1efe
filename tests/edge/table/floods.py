"""Clients that come too often: guesses at the password, requests, connections."""

import contextlib
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.edge.edge import HTTP, HTTPS
from tests.edge.siege import PAGE, Siege
from tests.edge.table.row import Row
from tests.edge.wire import Answer, answer, read

LIMIT = 600
"""The default of sourceLimit: requests, and connections, in ten seconds."""
API = "/api/v1/main/flows/search"
SLOW = "/api/v1/main/slow/search"
"""The same, where what stands for Kestra takes its time."""
SERVED = (200, 401)
"""What a page is answered where it is let through: Kestra may ask for a log-in."""


def limited(said: list[int]) -> None:
    """Fail unless 20 guesses were handed on; one may be refused too early, while the edge still ends the one before."""
    assert (said[:19], said[-1], said.count(401)) == ([401] * 19, 429, 20), said


def guessing(*lines: str, header: str = "Authorization: Basic wrong{}") -> Callable[[Siege], int]:
    """Guess passwords; return what the right one is told afterwards, if others are still let in."""

    def how(s: Siege) -> int:
        limited([s.get(API, header.format(n), *(line.format(n) for line in lines)).status for n in range(22)])
        assert s.elsewhere(40).call(s.login).status == 200
        return s.call(s.login).status

    return how


def guessing_by_form(s: Siege) -> int:
    """Guess passwords as the log-in page sends them."""
    limited([s.post(method="POST", path=API, signed=False).status for _ in range(22)])
    return s.call(s.login).status


def at_one_moment(guess: Callable[[int], Answer]) -> int:
    """Make more guesses than the limit before the first is answered; return 1 if no more than that got through."""
    with ThreadPoolExecutor(40) as all_at_once:
        said = [each.status for each in all_at_once.map(guess, range(40))]
    assert set(said) == {401, 429}, said
    return int(said.count(401) <= 20)


def guessing_at_one_moment(s: Siege) -> int:
    """Guess with one header each."""
    return at_one_moment(lambda n: s.get(SLOW, f"Authorization: Basic wrong{n}"))


def guessing_with_a_cookie(s: Siege) -> int:
    """Guess in forms, which bear a cookie that has opened a page: pages are there for everybody."""
    cookie = f"Cookie: {s.marker}=any"
    assert s.get(PAGE, cookie).status in SERVED
    return at_one_moment(lambda n: s.unsigned(cookie, path=SLOW))


def guessing_beside(s: Siege) -> int:
    """Guess from where somebody is logged in; return what that one is told afterwards."""
    assert s.call(s.login).status == 200
    said = [s.call(f"Basic wrong{n}").status for n in range(22)]
    assert said[-1] == 429, said
    return s.call(s.login).status


def asking(*lines: str) -> Callable[[Siege], int]:
    """Call the API again and again with no log-in, or the same wrong one; return what the right one is told then."""

    def how(s: Siege) -> int:
        page = s.request(*lines, method="GET", path=API, signed=False, length=False, body=b"")
        with s.line.tls() as connection:
            for _ in range(150):
                connection.sendall(page)
                assert answer(connection).status == 401
        return s.call(s.login).status

    return how


def twice(name: str) -> Callable[[Siege], Answer]:
    """Bring two log-ins, of which the edge might see one, and Kestra the other."""
    return lambda s: s.get(API, f"{name}: BASIC_AUTH=wrong", f"{name}: BASIC_AUTH=right")


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
    Row("guesses at one moment", guessing_at_one_moment, 1, passes=None),
    Row("guesses at one moment in forms, with a cookie", guessing_with_a_cookie, 1, passes=None),
    Row("a right log-in beside guesses", guessing_beside, 200, passes=None),
    Row("a cookie of yesterday, by many", asking("Cookie: BASIC_AUTH=old"), 200, passes=None),
    Row("asking without a log-in", asking(), 200, passes=None),
    Row("two log-ins in headers", twice("Authorization"), 400),
    Row("two log-ins in cookies", twice("Cookie"), 400),
    Row("601 requests in ten seconds", requests(HTTPS), 429),
    Row("601 requests without TLS", requests(HTTP), 429),
    Row("120 connections without TLS", connections(HTTP), 1, passes=None, alone=True),
    Row("120 connections of one source", connections(HTTPS), 1, passes=None, alone=True),
    Row("601 connections one after the other", reconnecting, 1, passes=None),
]
