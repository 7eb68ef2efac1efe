"""Whatever path, headers and body are: nothing unsigned reaches Kestra's webhook route, and Kestra starts nothing."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edge.conftest import Ground
from tests.edge.edge import Doorstep
from tests.edge.kestra import FLOWS, executions
from tests.edge.siege import Siege
from tests.estate import Estate

EXAMPLES = 1000
SOURCES = 150
SETTINGS = settings(
    max_examples=EXAMPLES,
    database=None,
    print_blob=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SEGMENTS = ["api", "v1", "main", "executions", "webhook", "tests.edge", "target"]
ROUTE = re.compile(rb"/executions/webhook/", re.IGNORECASE)


def encoded(letter: str, times: int) -> str:
    """Return a letter in percent-encoding, of that again, and so on."""
    shown = f"%{ord(letter):02x}"
    for _ in range(times - 1):
        shown = shown.replace("%", "%25")
    return shown


letters = st.sampled_from(
    [*"%;\\/.?#&=+@: \t", "%2f", "%5c", "%00", "%0a", "%2e", "%252f", "%c0%af", "ｗ", "..", "//", "/./"]
)
written = st.builds(lambda letter, times: (letter, times), st.sampled_from("aeiouwxvbk/_"), st.integers(1, 3))


@st.composite
def paths(draw: st.DrawFn, key: str) -> str:
    """The path of a webhook or of a page, changed in a few places; or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return "/" + draw(st.text(st.characters(codec="utf-8"), max_size=60))
    path = draw(st.sampled_from(["/".join(["", *SEGMENTS, key])] * 4 + ["/ui/main/flows"]))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(path)))
        change = draw(st.integers(0, 3))
        if change == 0:
            path = path[:at] + draw(letters) + path[at:]
        elif change == 1 and at < len(path) and path[at] != "%":
            path = path[:at] + encoded(path[at], draw(st.integers(1, 3))) + path[at + 1 :]
        elif change == 2:
            path = path[:at] + path[at:].swapcase()
        else:
            segments = path.split("/")
            segments.insert(draw(st.integers(0, len(segments))), draw(st.sampled_from(["", ".", "..", "x", *SEGMENTS])))
            path = "/".join(segments)
    return path


values = st.one_of(
    st.sampled_from(["chunked", "identity", "0", "5", "localhost", "evil.example", "sha256=" + "0" * 64, "", "gzip"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=80),
)
NAMES = [
    *("Content-Length", "Transfer-Encoding", "Host", "Connection", "Upgrade", "Expect", "Content-Type"),
    *("X-Hub-Signature-256", "X-Hub-Signature", "X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL"),
    *("X-Forwarded-Host", "X-Forwarded-Prefix"),
]
names = st.one_of(
    st.sampled_from(NAMES), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
)
headers = st.lists(st.tuples(names, values), max_size=5)
methods = st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS", "post", "TRACE"])


@dataclass
class Fuzzed:
    """An edge before Kestra that requests are sent to which nobody signed as they are."""

    ground: Ground
    step: Doorstep
    sent: int = 0
    passed: int = 0
    """How many came to Kestra elsewhere: what none passes would be no test of what may."""

    def siege(self, body: bytes) -> Siege:
        """Return an attack from the next of the sources: each may make so many requests and no more."""
        self.sent += 1
        marker = f"m{secrets.token_hex(8)}"
        siege = Siege(self.step, self.ground.given, self.sent % SOURCES, marker, "", self.ground.witness)
        return replace(siege, body=body) if body else siege

    def reached(self, marker: str) -> list[bytes]:
        """Return what of it would reach Kestra's route of webhooks, and forget all."""
        seen = self.ground.witness.testimony().requests(marker)
        self.ground.witness.forget()
        self.passed += len(seen)
        return [head for head in seen if ROUTE.search(head.split()[1].partition(b"?")[0])]


@pytest.fixture(scope="module")
def fuzzed(before_kestra: Ground, desk: Estate) -> Iterator[Fuzzed]:
    """An edge that is sent all of it; Kestra has started nothing in the end."""
    before = [executions(desk, flow) for flow in FLOWS]
    with before_kestra.doorstep() as step, before_kestra.edge(step):
        yield Fuzzed(before_kestra, step)
    assert [executions(desk, flow) for flow in FLOWS] == before


@pytest.mark.parametrize("whose", ["hooks", "Kestra"])
def test_nothing_unsigned_reaches_the_route_over_http_1(fuzzed: Fuzzed, whose: str) -> None:
    key = fuzzed.ground.given.key if whose == "hooks" else fuzzed.ground.given.inner_key

    @SETTINGS
    @given(paths(key), methods, headers, st.binary(max_size=200))
    def attack(path: str, method: str, lines: list[tuple[str, str]], body: bytes) -> None:
        siege = fuzzed.siege(body)
        packed = [f"{name}: {value}".encode("latin-1", "replace") for name, value in lines]
        siege.unsigned(*packed, method=method, path=path.encode("utf-8", "surrogatepass"))
        assert not fuzzed.reached(siege.marker)

    attack()
    assert fuzzed.passed


@pytest.mark.parametrize("whose", ["hooks", "Kestra"])
def test_nothing_unsigned_reaches_the_route_over_http_2(fuzzed: Fuzzed, whose: str) -> None:
    key = fuzzed.ground.given.key if whose == "hooks" else fuzzed.ground.given.inner_key

    @SETTINGS
    @given(paths(key), methods, headers, st.binary(max_size=200))
    def attack(path: str, method: str, lines: list[tuple[str, str]], body: bytes) -> None:
        siege = fuzzed.siege(body)
        more = [(name.lower().encode(), value.encode("latin-1")) for name, value in lines]
        sent = path.encode("utf-8", "surrogatepass").decode("latin-1")
        siege.frames(*more, without=(b"x-hub-signature-256",), method=method, path=sent)
        assert not fuzzed.reached(siege.marker)

    attack()
    assert fuzzed.passed


@st.composite
def altered(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body, and what became of it on its way."""
    body = draw(st.binary(min_size=1, max_size=300))
    at = draw(st.integers(0, len(body)))
    put = draw(st.binary(max_size=5))
    other = body[:at] + put + body[at + draw(st.integers(0, 5)) :]
    return (body, other) if other != body else (body, body + b" ")


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_nothing_reaches_the_route_whose_body_is_not_what_was_signed(fuzzed: Fuzzed, protocol: str) -> None:
    @SETTINGS
    @given(altered(), headers)
    def attack(bodies: tuple[bytes, bytes], lines: list[tuple[str, str]]) -> None:
        siege = fuzzed.siege(bodies[0])
        sent = replace(siege, body=bodies[1])
        if protocol == "HTTP/2":
            more = [(name.lower().encode(), value.encode("latin-1")) for name, value in lines]
            signed = (b"x-hub-signature-256", b"sha256=" + siege.digest.encode())
            sent.frames(signed, *more, without=(b"x-hub-signature-256",))
        else:
            packed = [f"{name}: {value}".encode("latin-1", "replace") for name, value in lines]
            sent.unsigned(siege.signed, *packed)
        assert not fuzzed.reached(siege.marker)

    attack()
