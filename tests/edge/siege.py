"""What an attack has in hand: a way to the edge, what GitHub knows, and what an attacker may have got hold of."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field, replace

from tests.edge.edge import Doorstep, Rendered, source
from tests.edge.wire import Answer, Headers, Line
from tests.edge.witness import Witness

HOOKS = "/api/v1/main/executions/webhook/tests.edge/target/"
EXPIRED_KEY, SHORT_KEY = "a-key-whose-hour-is-over", "a-short-key"
EXPIRED_SECRET, SHORT_SECRET = "a-secret-whose-hour-is-over", "short"
PAGE = "/ui/main/flows"
FREE = 400
"""The first of the sources that no row has for itself."""


def planted(text: str) -> str:
    """Return a configuration that takes, besides its own, what must never be taken: expired, short and empty."""
    lines = []
    for number, (key, secret, until) in enumerate(
        [(EXPIRED_KEY, EXPIRED_SECRET, 1), (SHORT_KEY, SHORT_SECRET, 9999999999), ("", "", 9999999999)], start=1
    ):
        for what, value in (("key", key), ("secret", base64.b64encode(secret.encode()).decode())):
            lines.append(f"    set-var proc.{what}{number} str({value})\n")
            lines.append(f"    set-var proc.{what}{number}_until int({until})\n")
    assert text.startswith("global\n")
    return text.replace("global\n", "global\n" + "".join(lines), 1)


def signature(secret: str, body: bytes, algorithm: str = "sha256") -> str:
    """Sign as GitHub does."""
    return f"{algorithm}={hmac.new(secret.encode(), body, algorithm).hexdigest()}"


@dataclass(frozen=True)
class Siege:
    """One attack on the edge: its own source, and a marker by which the witness knows it."""

    step: Doorstep
    given: Rendered
    number: int
    marker: str
    login: str
    """What the right person sends as Authorization."""
    witness: Witness = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if not self.body:
            object.__setattr__(self, "body", b'{"marker": "%s"}' % self.marker.encode())

    @property
    def line(self) -> Line:
        """The way from its own source."""
        return Line(self.step, self.number)

    @property
    def address(self) -> str:
        """The address that it comes from."""
        return source(self.number)

    def elsewhere(self, other: int) -> "Siege":
        """The same from another source."""
        return replace(self, number=FREE + other)

    @property
    def path(self) -> str:
        """Where GitHub delivers to."""
        return HOOKS + self.given.key

    @property
    def signed(self) -> str:
        """The header with the right signature of its body."""
        return f"X-Hub-Signature-256: {signature(self.given.secret, self.body)}"

    def request(
        self,
        *lines: str | bytes,
        method: str = "POST",
        path: str | bytes | None = None,
        host: str | None = "localhost",
        signed: bool = True,
        length: bool = True,
        version: str = "HTTP/1.1",
        body: bytes | None = None,
    ) -> bytes:
        """Return a delivery that is right but for what is said otherwise; `lines` are headers as they are."""
        target = self.path if path is None else path
        sent = self.body if body is None else body
        head = [method.encode() + b" " + (target.encode() if isinstance(target, str) else target), version.encode()]
        headers: list[str | bytes] = [f"User-Agent: GitHub-Hookshot/{self.marker}"]
        headers += [f"Host: {host}"] if host is not None else []
        headers += [self.signed] if signed else []
        headers += [f"Content-Length: {len(sent)}"] if length else []
        packed = [each if isinstance(each, bytes) else each.encode() for each in (*headers, *lines)]
        return b"\r\n".join([b" ".join(head), *packed]) + b"\r\n\r\n" + sent

    def post(self, *lines: str | bytes, **changed: object) -> Answer:
        """Send a delivery over HTTP/1.1 that is right but for what is said otherwise."""
        return self.line.h1(self.request(*lines, **changed))  # type: ignore[arg-type]

    def unsigned(self, *lines: str | bytes, **changed: object) -> Answer:
        """Send a delivery without a signature, or with the one among `lines`."""
        return self.post(*lines, signed=False, **changed)

    def get(self, path: str = PAGE, *lines: str | bytes, host: str | None = "localhost") -> Answer:
        """Ask for a page."""
        return self.post(*lines, method="GET", path=path, host=host, signed=False, length=False, body=b"")

    def call(self, authorization: str) -> Answer:
        """Call Kestra's API."""
        return self.get("/api/v1/main/flows/search", f"Authorization: {authorization}")

    def headers(self, *more: tuple[bytes, bytes], without: tuple[bytes, ...] = (), **changed: str) -> Headers:
        """Return HTTP/2 headers of a delivery; `changed` are pseudo-headers, `without` names what is left out."""
        listed = [
            (b":method", changed.get("method", "POST").encode("latin-1")),
            (b":scheme", changed.get("scheme", "https").encode()),
            (b":authority", changed.get("authority", "localhost").encode()),
            (b":path", changed.get("path", self.path).encode("latin-1")),
            (b"user-agent", f"GitHub-Hookshot/{self.marker}".encode()),
            (b"content-length", str(len(self.body)).encode()),
            (b"x-hub-signature-256", signature(self.given.secret, self.body).encode()),
        ]
        return [each for each in listed if each[0] not in without] + list(more)

    def frames(self, *more: tuple[bytes, bytes], without: tuple[bytes, ...] = (), **changed: str) -> Answer:
        """Send a delivery over HTTP/2 that is right but for what is said otherwise."""
        return self.line.h2(self.headers(*more, without=without, **changed), self.body)

    @property
    def digest(self) -> str:
        """The right signature's 64 digits."""
        return hmac.new(self.given.secret.encode(), self.body, hashlib.sha256).hexdigest()
