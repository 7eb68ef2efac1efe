"""Requests that two readers may take for different ones."""

import contextlib
from collections.abc import Callable

from tests.edge.siege import PAGE, Siege
from tests.edge.table.row import HTTP_BROKEN, Row
from tests.edge.wire import Answer, answer

CODINGS: dict[str, int | tuple[int, ...]] = {
    "chunked": 411,
    "Chunked": 411,
    "chunked, identity": (400, 411),
    "identity, chunked": (400, 411, 422, 501),
    "identity": (400, 411, 422, 501),
    "gzip, chunked": (400, 411, 422, 501),
    "xchunked": (400, 411, 422, 501),
    '"chunked"': (400, 411, 422, 501),
    "chunked;x=1": (400, 411, 422, 501),
    "\tchunked": 411,
    "\x0bchunked": (400, 411, 422, 501),
    "chunked\x00": 400,
    "": (400, 411, 422, 501),
}


def chunks(s: Siege) -> bytes:
    """Return the body in one chunk."""
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(s.body), s.body)


def coded(coding: str, *, length: bool) -> Callable[[Siege], Answer]:
    """Deliver in some transfer coding, with a Content-Length of the same or without."""

    def how(s: Siege) -> Answer:
        lines = [f"Transfer-Encoding: {coding}"]
        if length:
            lines.insert(0, f"Content-Length: {len(s.body)}")
        return s.post(*lines, length=False, body=chunks(s))

    return how


def behind(first: Callable[[Siege], bytes]) -> Callable[[Siege], int]:
    """Send an unsigned delivery right behind something; return the last of the answers."""

    def how(s: Siege) -> int:
        said = []
        with s.line.tls() as connection:
            connection.sendall(first(s) + s.request(signed=False))
            connection.settimeout(1.5)
            with contextlib.suppress(OSError):
                while status := answer(connection).status:
                    said.append(status)
        return said[-1] if said else 0

    return how


def hidden(*lines: str, chunked: bool = False) -> Callable[[Siege], int]:
    """Hide an unsigned delivery in the body of a call of the API, whose length can be read in two ways.

    The call itself, which bears another marker, may pass.
    """

    def how(s: Siege) -> int:
        inner = s.request(signed=False)
        body = b"0\r\n\r\n" + inner if chunked else inner
        outer = "\r\n".join(["POST /api/v1/main/x HTTP/1.1", "Host: localhost", *lines, "", ""])
        s.line.h1(outer.replace("SIZE", str(len(body))).encode() + body)
        return 0

    return how


ROWS = [
    *(Row(f"coding {coding!r}", coded(coding, length=False), verdict) for coding, verdict in CODINGS.items()),
    *(
        Row(f"coding {coding!r} and a length", coded(coding, length=True), (0, 400, 411, 422, 501))
        for coding in ("chunked", "xchunked", "chunked, identity")
    ),
    Row("two codings", lambda s: s.post(*["Transfer-Encoding: chunked"] * 2, length=False, body=chunks(s)), (400, 411)),
    Row(
        "a coding folded onto a second line",
        lambda s: s.post("Transfer-Encoding:\r\n chunked", length=False, body=chunks(s)),
        (400, 411),
    ),
    Row("a coding with a blank before its colon", lambda s: s.post("Transfer-Encoding : chunked"), HTTP_BROKEN),
    Row(
        "the signature behind the chunks",
        lambda s: s.unsigned(
            "Transfer-Encoding: chunked",
            "Trailer: x-hub-signature-256",
            length=False,
            body=chunks(s)[:-2] + s.signed.encode() + b"\r\n\r\n",
        ),
        411,
    ),
    Row(
        "the signature folded onto a second line",
        lambda s: s.unsigned(s.signed.replace(" ", "\r\n ")),
        (400, 403, 200),
        passes=None,
    ),
    Row("lines that end in LF", lambda s: s.line.h1(s.request(signed=False).replace(b"\r\n", b"\n")), (400, 403)),
    Row("HTTP/1.0 unsigned", lambda s: s.unsigned(version="HTTP/1.0"), 403),
    Row("HTTP/0.9", lambda s: s.line.h1(f"POST {s.path}\r\n\r\n".encode()), HTTP_BROKEN),
    Row("HTTP/3.0 by name", lambda s: s.unsigned(version="HTTP/3.0"), (400, 403, 505)),
    Row("HTTP/1.1 in lower case", lambda s: s.post(version="http/1.1"), (400, 505)),
    Row("Expect: 100-continue unsigned", lambda s: s.unsigned("Expect: 100-continue"), 403),
    Row(
        "an upgrade to HTTP/2 in the clear",
        lambda s: s.unsigned("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        403,
    ),
    Row("an upgrade to a web socket", lambda s: s.unsigned("Connection: Upgrade", "Upgrade: websocket"), (0, 400, 403)),
    Row("a header without a name", lambda s: s.unsigned(": x"), HTTP_BROKEN),
    Row("a header without a colon", lambda s: s.unsigned("nonsense"), HTTP_BROKEN),
    Row(
        "a blank before the first header",
        lambda s: s.line.h1(s.request().replace(b"\r\nUser", b"\r\n User", 1)),
        HTTP_BROKEN,
    ),
    Row("an unsigned delivery behind a signed one", behind(lambda s: s.request()), 403, passes=1),
    Row(
        "one behind a page",
        behind(lambda s: s.request(method="GET", path=PAGE, signed=False, length=False, body=b"")),
        403,
        passes=1,
    ),
    Row("one behind a refused one", behind(lambda s: s.request(signed=False)), 403),
    Row(
        "one in a body that is too long", behind(lambda s: s.request("Content-Length: 0", length=False, body=b"")), 403
    ),
    Row("one hidden by CL and TE", hidden("Content-Length: SIZE", "Transfer-Encoding: chunked", chunked=True), 0),
    Row("one hidden by TE and CL", hidden("Transfer-Encoding: chunked", "Content-Length: SIZE", chunked=True), 0),
    Row(
        "one hidden by a TE that is none",
        hidden("Content-Length: SIZE", "Transfer-Encoding: xchunked", chunked=True),
        0,
    ),
    Row("one hidden by two lengths", hidden("Content-Length: 0", "Content-Length: SIZE"), 0),
    Row("one hidden by a folded TE", hidden("Content-Length: SIZE", "Transfer-Encoding:\r\n chunked", chunked=True), 0),
]
