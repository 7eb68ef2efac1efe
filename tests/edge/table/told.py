"""What the edge says in its answers, and what it tells Kestra."""

from collections.abc import Callable

from tests.edge.edge import HTTP
from tests.edge.siege import PAGE, Siege
from tests.edge.table.row import Row
from tests.edge.wire import CLOSED, Answer, answer

ALWAYS = {
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=()",
    "x-robots-tag": "noindex",
    "content-security-policy": "default-src 'self'",
}
"""What a page, a refusal and a missing page say alike."""
WEB_SOCKET = "\r\n".join(
    [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
)
POLICY = ["object-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'self'"]


def says(name: str) -> Callable[[Siege], int]:
    """Return how many of a page, a refusal and a missing page say it."""

    def how(s: Siege) -> int:
        said = [each.headers for each in (s.get(), s.get(host="evil.example"), s.get("/nowhere"))]
        return sum(each.get(name, "").startswith(ALWAYS[name]) for each in said)

    return how


def policy(what: str) -> Callable[[Siege], int]:
    """Return 200 if a page's policy has a directive."""
    return lambda s: 200 if what in s.get().headers.get("content-security-policy", "").split("; ") else CLOSED


def told(line: str, known: str, host: str = "localhost") -> Callable[[Siege], int]:
    """Send a header; return how often Kestra would read something of it in the request's head."""

    def how(s: Siege) -> int:
        s.get(PAGE, line, host=host)
        return sum(each.lower().count(known.lower().encode()) for each in s.witness.testimony().requests(s.marker))

    return how


def redirected(host: str = "localhost", path: str = "/ui/x?y=z") -> Callable[[Siege], Answer]:
    """Ask on the port without TLS."""

    def how(s: Siege) -> Answer:
        with s.line.plain(HTTP) as connection:
            connection.sendall(s.request(method="GET", path=path, host=host, signed=False, length=False, body=b""))
            return answer(connection)

    return how


def led(s: Siege) -> int:
    """Return 308 if the redirect leads to the edge's own name, whatever is asked for."""
    said = redirected(path="//evil.example/x")(s)
    return said.status if said.headers.get("location", "").startswith("https://localhost") else CLOSED


ROWS = [
    *(Row(f"every answer says {name}", says(name), 3, passes=1) for name in ALWAYS),
    *(Row(f"the policy has {what}", policy(what), 200, passes=1) for what in POLICY),
    Row("the server's name is not told", lambda s: 1 if "server" in s.get().headers else CLOSED, CLOSED, passes=1),
    Row("somebody else's address", told("X-Forwarded-For: 192.0.2.1", "192.0.2.1"), 0, passes=1),
    Row("somebody else's host", told("X-Forwarded-Host: evil.example", "evil.example"), 0, passes=1),
    Row("another protocol", told("X-Forwarded-Proto: http", "proto: http\r"), 0, passes=1),
    Row("a prefix", told("X-Forwarded-Prefix: /evil", "/evil"), 0, passes=1),
    Row("Forwarded", told("Forwarded: for=192.0.2.1", "192.0.2.1"), 0, passes=1),
    Row("a request's id", told("X-Request-Id: of-the-client", "of-the-client"), 0, passes=1),
    Row("an upgrade", told(WEB_SOCKET, "upgrade: websocket"), 0, passes=1),
    Row("the true address", lambda s: told("X: x", f"x-forwarded-for: {s.address}\r\n")(s), 1, passes=1),
    Row("the true host", told("X: x", "x-forwarded-host: localhost:8443\r\n"), 1, passes=1),
    Row("a port of the client's", told("X: x", "x-forwarded-host: localhost:1\r\n", host="localhost:1"), 0, passes=1),
    Row("the true protocol", told("X: x", "x-forwarded-proto: https\r\n"), 1, passes=1),
    Row("a page without TLS", redirected(), 308),
    Row("a redirect to another site", led, 308),
    Row("another host without TLS", redirected("evil.example"), 421),
]
