"""HTTP/2 as no library speaks it."""

from collections.abc import Callable

from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, SettingsFrame, WindowUpdateFrame

from tests.edge.siege import Siege
from tests.edge.table.row import HTTP_BROKEN, OPEN, Row
from tests.edge.wire import CLOSED, Answer

FRAMES = 4000


def has(*more: tuple[bytes, bytes], without: tuple[bytes, ...] = (), **changed: str) -> Callable[[Siege], Answer]:
    """Deliver with other headers; the signature is right unless it is left out."""
    return lambda s: s.frames(*more, without=without, **changed)


def first(*before: tuple[bytes, bytes]) -> Callable[[Siege], Answer]:
    """Deliver with something before the pseudo-headers."""
    return lambda s: s.line.h2([*before, *s.headers()], s.body)


def length(more: int) -> Callable[[Siege], Answer]:
    """Announce another length than is sent."""

    def how(s: Siege) -> Answer:
        said = str(len(s.body) + more).encode()
        return s.frames((b"content-length", said), without=(b"content-length",))

    return how


def trailed(s: Siege) -> Answer:
    """Send the signature behind the body."""
    *headers, signature = s.headers()
    return s.line.h2(headers, s.body, trailers=[signature])


def split(s: Siege) -> Answer:
    """Break a header's value into a second request."""
    inner = b"x\r\n\r\n" + s.request(signed=False)
    return s.frames((b"x-padding", inner))


def flood(frame: Callable[[int], bytes]) -> Callable[[Siege], int]:
    """Send frames that mean nothing, thousands of them; return CLOSED if the edge hangs up."""

    def how(s: Siege) -> int:
        try:
            with s.line.tls(alpn="h2") as connection:
                connection.settimeout(3)
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
                for begin in range(0, FRAMES, 500):
                    connection.sendall(b"".join(frame(number) for number in range(begin, begin + 500)))
                while connection.recv(1 << 16):
                    pass
        except TimeoutError:
            return OPEN
        except OSError:
            pass
        return CLOSED

    return how


def continuation(number: int) -> bytes:
    """Return the next frame of a head that does not end."""
    if number:
        return bytes(ContinuationFrame(1, b"\x00\x01a\x01b" * 50).serialize())
    return bytes(HeadersFrame(1, b"\x82").serialize())


def no_request(number: int) -> bytes:
    """Return a request without a path."""
    return bytes(HeadersFrame(2 * number + 1, b"\x82\x87", flags=["END_HEADERS", "END_STREAM"]).serialize())


def evil(*more: tuple[bytes, bytes]) -> Callable[[Siege], int]:
    """Deliver with other hosts beside the authority; return 0 if Kestra gets to see the authority alone."""

    def how(s: Siege) -> int:
        s.frames(*more)
        return sum(b"evil" in each for each in s.witness.testimony().requests(s.marker))

    return how


CRLF = b"x\r\ntransfer-encoding: chunked"
ROWS = [
    Row("HTTP/2: a signed delivery", has(), 200, passes=1),
    Row("HTTP/2: no signature", has(without=(b"x-hub-signature-256",)), 403),
    Row("HTTP/2: two signatures", has((b"x-hub-signature-256", b"sha256=" + b"0" * 64)), 403),
    Row("HTTP/2: a signature behind the body", trailed, 403),
    Row("HTTP/2: no length", has(without=(b"content-length",)), 411),
    Row("HTTP/2: two lengths", has((b"content-length", b"1")), HTTP_BROKEN),
    Row("HTTP/2: more announced than sent", length(5), HTTP_BROKEN),
    Row("HTTP/2: less announced than sent", length(-5), HTTP_BROKEN),
    Row(
        "HTTP/2: a length that is no number", has((b"content-length", b"x"), without=(b"content-length",)), HTTP_BROKEN
    ),
    Row("HTTP/2: chunked", has((b"transfer-encoding", b"chunked")), HTTP_BROKEN),
    Row(
        "HTTP/2: chunked without a length",
        has((b"transfer-encoding", b"chunked"), without=(b"content-length",)),
        HTTP_BROKEN,
    ),
    Row("HTTP/2: Connection", has((b"connection", b"x-hub-signature-256")), HTTP_BROKEN),
    Row("HTTP/2: Upgrade", has((b"upgrade", b"h2c")), HTTP_BROKEN),
    Row("HTTP/2: a line break in a value", has((b"x-padding", CRLF)), HTTP_BROKEN),
    Row("HTTP/2: a line feed in a value", has((b"x-padding", b"x\nx: y")), HTTP_BROKEN),
    Row("HTTP/2: a NUL in a value", has((b"x-padding", b"x\0")), HTTP_BROKEN),
    Row("HTTP/2: a second request in a value", split, HTTP_BROKEN),
    Row("HTTP/2: a line break in a name", has((b"x-padding: y\r\nx", b"y")), HTTP_BROKEN),
    Row("HTTP/2: a colon in a name", has((b"x-padding:y", b"y")), HTTP_BROKEN),
    Row("HTTP/2: a blank in a name", has((b"x padding", b"y")), HTTP_BROKEN),
    Row("HTTP/2: capitals in a name", has((b"X-Padding", b"y")), HTTP_BROKEN),
    Row("HTTP/2: an empty name", has((b"", b"y")), HTTP_BROKEN),
    Row("HTTP/2: a line break in the path", has(path="/ui/ HTTP/1.1\r\nhost: x\r\n\r\nGET /"), HTTP_BROKEN),
    Row("HTTP/2: a blank in the path", has(path="/api/v1/main/x HTTP/1.1"), HTTP_BROKEN),
    Row("HTTP/2: a path without a slash", has(path="api/v1/main/executions"), HTTP_BROKEN),
    Row("HTTP/2: an empty path", has(path=""), HTTP_BROKEN),
    Row("HTTP/2: a path with an address", has(path="https://localhost/ui/"), (400, 404, 0)),
    Row("HTTP/2: no path", has(without=(b":path",)), HTTP_BROKEN),
    Row("HTTP/2: two paths", has((b":path", b"/ui/")), HTTP_BROKEN),
    Row("HTTP/2: two paths in a row", first((b":path", b"/ui/")), HTTP_BROKEN),
    Row("HTTP/2: two methods", first((b":method", b"GET")), HTTP_BROKEN),
    Row("HTTP/2: two authorities", first((b":authority", b"localhost")), HTTP_BROKEN),
    Row("HTTP/2: a pseudo-header behind others", has((b":method", b"GET"), without=(b":method",)), HTTP_BROKEN),
    Row("HTTP/2: an unknown pseudo-header", first((b":status", b"200")), HTTP_BROKEN),
    Row("HTTP/2: a method with a request in it", has(method="POST /ui/ HTTP/1.1\r\nx: "), HTTP_BROKEN),
    Row("HTTP/2: a method with a blank", has(method="POST /ui/"), HTTP_BROKEN),
    Row("HTTP/2: no method", has(without=(b":method",)), HTTP_BROKEN),
    Row("HTTP/2: another scheme", has(scheme="javascript"), (400, 200, 0), passes=None),
    Row("HTTP/2: GET", has(method="GET"), 405),
    Row("HTTP/2: CONNECT", has(method="CONNECT", without=(b":path", b":scheme")), (400, 405, 0)),
    Row("HTTP/2: CONNECT with a protocol", first((b":method", b"CONNECT"), (b":protocol", b"websocket")), HTTP_BROKEN),
    Row("HTTP/2: an encoded path", lambda s: s.frames(path=s.path.replace("webhook", "%77ebhook")), 404),
    Row("HTTP/2: another host beside the authority", evil((b"host", b"evil.example")), 0, passes=1),
    Row(
        "HTTP/2: another authority beside the host",
        has((b"host", b"localhost"), authority="evil.example"),
        (400, 421, 0),
    ),
    Row("HTTP/2: two hosts", evil((b"host", b"localhost"), (b"host", b"evil.example")), 0, passes=1),
    Row("HTTP/2: a user in the authority", has(authority="localhost@evil.example"), (400, 421, 0)),
    Row("HTTP/2: another authority", has(authority="evil.example"), 421),
    Row("HTTP/2: no authority", has(without=(b":authority",)), (400, 421)),
    Row("HTTP/2: a head without an end", flood(continuation), CLOSED),
    Row("HTTP/2: requests that are none", flood(no_request), CLOSED),
    Row("HTTP/2: data for no stream", flood(lambda n: bytes(DataFrame(1, b"").serialize())), CLOSED),
    Row("HTTP/2: windows that open by nothing", flood(lambda n: bytes(WindowUpdateFrame(1, 0).serialize())), CLOSED),
]
