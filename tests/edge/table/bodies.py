"""Bodies whose length is not what it seems, and what is more than a delivery can be."""

from collections.abc import Callable
from dataclasses import replace

from tests.edge.siege import Siege, signature
from tests.edge.table.row import HTTP_BROKEN, Row
from tests.edge.table.signatures import head
from tests.edge.wire import Answer

LARGEST = 26214400


def announced(*lengths: str) -> Callable[[Siege], Answer]:
    """Send a body with other words on its length."""
    return lambda s: s.post(*(f"Content-Length: {each}" for each in lengths), length=False)


def longer(more: int) -> Callable[[Siege], Answer]:
    """Announce more than is sent and signed, and hang up."""
    return announced_and_sent(more, b"")


def announced_and_sent(more: int, sent: bytes) -> Callable[[Siege], Answer]:
    """Sign a body, and send other bytes behind it."""
    return lambda s: s.post(f"Content-Length: {len(s.body) + more}", length=False, body=s.body + sent)


def beginning(s: Siege) -> int:
    """Sign as much of a body as some buffer holds, and send more: HAProxy hashes what it has, not what comes.

    Nobody outside knows how much that is, so all of the likely sizes are tried.
    """
    whole = s.body + b" " * (40000 - len(s.body))
    for number, size in enumerate(range(13000, 16400, 8)):
        line = head(signature(s.given.secret, whole[:size]))
        if s.elsewhere(number % 30).unsigned(line, body=whole).status == 200:
            return 200
    return 403


def beginning_of_the_largest(s: Siege) -> Answer:
    """The same with more than any delivery has."""
    signed = s.body + b" " * (LARGEST - len(s.body))
    return s.unsigned(
        head(signature(s.given.secret, signed)), f"Content-Length: {LARGEST + 100}", length=False, body=b""
    )


def whole(size: int) -> Callable[[Siege], Answer]:
    """Deliver a body of a size."""

    def how(s: Siege) -> Answer:
        path = s.path.replace("target", "absent")  # to Kestra it is what it reads and throws away
        return replace(s, body=s.body + b" " * (size - len(s.body))).post(path=path)

    return how


ROWS = [
    Row("a signed body of 60 kB", whole(60000), (200, 404), passes=1),
    Row("a signed body of 25 MiB", whole(LARGEST), (200, 404, 500), passes=1),
    Row("no length", lambda s: s.post(length=False), 411),
    Row("a length of nothing", announced(""), HTTP_BROKEN),
    Row("two lengths", lambda s: s.post("Content-Length: 1"), HTTP_BROKEN),
    Row("two lengths in one header", announced("5, 6"), HTTP_BROKEN),
    Row("a length with a plus", announced("+20"), HTTP_BROKEN),
    Row("a length below zero", announced("-1"), HTTP_BROKEN),
    Row("a length in hexadecimal", announced("0x20"), HTTP_BROKEN),
    Row("a length with a blank inside", announced("2 0"), HTTP_BROKEN),
    Row("a length of 2^64 and more", announced("18446744073709551636"), (400, 413)),
    Row("a length of 2^63", announced("9223372036854775808"), (400, 413)),
    Row("a length with a NUL", announced("20\0"), HTTP_BROKEN),
    Row("more signed than announced", announced("5"), 403),
    Row("a forged end behind a signed body", announced_and_sent(6, b"forged"), 403),
    Row("one byte more than GitHub sends", announced(str(LARGEST + 1)), 413),
    Row("a body of a terabyte", announced("1099511627776"), 413),
    Row("the beginning of a body signed", beginning, 403, passes=None, alone=True),
    Row("the beginning of the largest body signed", beginning_of_the_largest, 413),
    Row("a head of 20 kB", lambda s: s.unsigned("X-Padding: " + "x" * 20000), HTTP_BROKEN),
    Row("a URL of 20 kB", lambda s: s.post(path=s.path + "?" + "x" * 20000), (400, 414)),
    Row("200 headers", lambda s: s.unsigned(*(f"X-Padding-{n}: x" for n in range(200))), HTTP_BROKEN),
]
