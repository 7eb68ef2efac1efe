"""The edge and people: who is limited by what, what their browsers are told, and streams that stay open."""

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import pytest

from tests.edge.table.floods import limited
from tests.edge_alone import HOOK, Edge, new_edge, new_key, new_secret
from tests.estate import eventually

KEY, SECRET = new_key(), new_secret()
API = "/api/v1/main/executions/search"
SLOW = "/api/v1/main/slow/search"
"""The same, if Kestra takes three seconds for it."""
LIMIT = 60


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """An edge that serves."""
    with new_edge() as edge:
        edge.configure(KEY, SECRET)
        edge.start()
        yield edge


def test_a_source_is_who_really_asks(edge: Edge) -> None:
    source = edge.elsewhere()
    heads = source.client.get("/ui/heads").text.lower()
    assert f"x-forwarded-for: {source.address}\r\n" in heads
    assert eventually(lambda: edge.requests()[-1]["source"] == source.address)


def test_what_a_client_says_about_itself_is_not_passed_on(edge: Edge) -> None:
    said = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Prefix": "/x", "Forwarded": "for=192.0.2.1"}
    said |= {"X-Request-Id": "mine", "Upgrade": "h2c", "Connection": "Upgrade"}
    answer = edge.client.get("/ui/heads", headers=said)
    heads = answer.text.lower()
    assert "192.0.2.1" not in heads
    assert "x-forwarded-prefix" not in heads
    assert "upgrade" not in heads
    assert f"x-request-id: {answer.headers['x-request-id']}\r\n" in heads
    assert eventually(lambda: edge.requests()[-1]["id"] == answer.headers["x-request-id"])
    assert "x-forwarded-proto: https\r\n" in heads


RIGHT = {"Authorization": "Basic right"}


def wrong(number: int) -> dict[str, str]:
    """Return another wrong log-in."""
    return {"Authorization": f"Basic wrong{number}"}


def test_guessing_the_password_ends_for_the_guesser_and_nobody_else_even_over_a_reload(edge: Edge) -> None:
    guesser, other = edge.elsewhere(), edge.elsewhere()
    limited([guesser.client.get(API, headers=wrong(number)).status_code for number in range(22)])
    answer = guesser.client.get(API, headers=RIGHT)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "300")
    assert eventually(lambda: edge.requests()[-1]["verdict"] == "guessing")
    edge.configure(KEY, SECRET)
    assert edge.status(API, guesser.client) == 401  # the log-in page is still to be had
    assert guesser.client.get(API, headers=RIGHT).status_code == 429
    # GitHub may stand behind the same address as somebody who guesses, and deliveries are signed.
    assert edge.deliver(KEY, SECRET, client=guesser.client).status_code == 200
    assert other.client.get(API, headers=RIGHT).status_code == 200


def test_who_is_in_stays_in_beside_somebody_who_guesses(edge: Edge) -> None:
    office = edge.elsewhere().client
    assert office.get(API, headers=RIGHT).status_code == 200
    assert 429 in [office.get(API, headers=wrong(number)).status_code for number in range(30)]
    assert office.get(API, headers=RIGHT).status_code == 200


def test_guesses_at_one_moment_are_no_more_than_guesses_in_a_row(edge: Edge) -> None:
    guesser = edge.elsewhere()

    def guess(number: int) -> int:
        with edge.client_at(guesser.port) as client:
            return client.get(SLOW, headers=wrong(number)).status_code

    with ThreadPoolExecutor(40) as all_at_once:
        said = list(all_at_once.map(guess, range(40)))
    assert set(said) == {401, 429}
    assert 15 <= said.count(401) <= 20


@pytest.mark.parametrize("way", ["a cookie", "the form"])
def test_guesses_count_in_whatever_way_they_are_made(edge: Edge, way: str) -> None:
    guesser = edge.elsewhere().client

    def guess(number: int) -> int:
        if way == "a cookie":
            return guesser.get(API, headers={"Cookie": f"BASIC_AUTH=wrong{number}"}).status_code
        return guesser.post("/api/v1/login", json={}).status_code

    limited([guess(number) for number in range(22)])


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
def test_nobody_makes_two_guesses_look_like_one(edge: Edge, name: str) -> None:
    twice = [(name, "BASIC_AUTH=wrong"), (name, "BASIC_AUTH=right")]
    assert edge.elsewhere().client.get(API, headers=twice).status_code == 400


def test_an_office_whose_cookies_went_bad_is_no_guesser(edge: Edge) -> None:
    """Thirty people, whose pages make five calls each, with what was the right cookie before the password changed."""
    office = edge.elsewhere().client
    said = [office.get(API, headers={"Cookie": "BASIC_AUTH=old"}).status_code for _ in range(150)]
    assert said == [401] * 150
    assert office.get(API, headers=RIGHT).status_code == 200


def test_a_page_that_asks_before_its_log_in_is_no_guesser(edge: Edge) -> None:
    visitor = edge.elsewhere().client
    assert {visitor.get(API).status_code for _ in range(150)} == {401}
    assert visitor.get(API, headers=RIGHT).status_code == 200


def test_requests_are_limited_for_each_source(edge: Edge) -> None:
    edge.settings["sourceLimit"] = LIMIT
    edge.configure(KEY, SECRET)
    one, other = edge.elsewhere(), edge.elsewhere()
    with httpx.Client(base_url=one.client.base_url, verify=edge.trust, trust_env=False) as kept_open:
        answers = [kept_open.get("/ui") for _ in range(LIMIT + 1)]
    assert {answer.status_code for answer in answers[: LIMIT - 1]} == {200}
    assert (answers[-1].status_code, answers[-1].headers["Retry-After"]) == (429, "10")
    assert eventually(lambda: edge.requests()[-1]["verdict"] == "rate")
    # Who knows a webhook's key is not counted: GitHub may share an address with somebody who is busy.
    assert edge.deliver(KEY, SECRET, client=one.client).status_code == 200
    # Far above the limit the connection ends, and the log is told nothing more.
    lines = len(edge.requests())
    with (
        pytest.raises(httpx.TransportError),
        httpx.Client(base_url=one.client.base_url, verify=edge.trust, trust_env=False) as kept_open,
    ):
        for _ in range(LIMIT * 2):
            kept_open.get("/ui")
    assert len(edge.requests()) < lines + LIMIT + 5
    assert edge.status("/ui", other.client) == 200
    del edge.settings["sourceLimit"]
    edge.configure(KEY, SECRET)


def test_new_connections_are_limited_for_each_source(edge: Edge) -> None:
    edge.settings["sourceLimit"] = LIMIT
    edge.configure(KEY, SECRET)
    one, other = edge.elsewhere(), edge.elsewhere()
    # Connections without a request: what they cost is their handshake.
    refused = 0
    for _ in range(LIMIT + 10):
        try:
            with edge.connected(one.port):
                pass
        except (OSError, ssl.SSLError):
            refused += 1
    assert refused >= 10
    assert edge.status("/ui", other.client) == 200
    del edge.settings["sourceLimit"]
    edge.configure(KEY, SECRET)


def test_connections_at_a_time_are_limited_for_each_source(edge: Edge) -> None:
    one, other = edge.elsewhere(), edge.elsewhere()
    with contextlib.ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(edge.connected(one.port))
        assert edge.status("/ui", one.client) == 0
        assert edge.status("/ui", other.client) == 200
    time.sleep(1)
    assert edge.status("/ui", one.client) == 200


def test_ipv6_sources_are_their_64_bit_network(edge: Edge) -> None:
    # Docker publishes IPv4 only (ARCHITECTURE.md): the PROXY protocol stands for a client of the other kind.
    edge.reload("s/alpn h2,http/accept-proxy &/; s/tcp-request connection/tcp-request session/; s/gt 600/gt 20/")

    def ask(source: str) -> int:
        with contextlib.suppress(OSError), edge.announced(source) as connection:
            connection.sendall(b"GET /ui HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = connection.recv(64)
            return int(answer.split()[1]) if answer else 0
        return 0

    assert [ask(f"2001:db8:0:1::{n + 1:x}") for n in range(20)] == [200] * 20
    assert ask("2001:db8:0:1:ffff::1") in (0, 429)
    assert ask("2001:db8:0:2::1") == 200
    edge.configure(KEY, SECRET)


def test_slow_and_silent_clients_are_let_go(edge: Edge) -> None:
    def silent() -> float:
        began = time.monotonic()
        with edge.plain() as connection:
            connection.recv(1)
        return time.monotonic() - began

    def dripping() -> float:
        began = time.monotonic()
        with contextlib.suppress(OSError), edge.connected() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            while time.monotonic() - began < 30 and b" 408 " not in connection.recv(64):
                connection.sendall(b"X-More: 1\r\n")
        return time.monotonic() - began

    with ThreadPoolExecutor() as pool:
        quiet, slow = pool.submit(silent), pool.submit(dripping)
        assert quiet.result() < 8
        assert slow.result() < 14


def test_one_name_is_served_in_the_handshake_and_in_the_request(edge: Edge) -> None:
    assert edge.client.get("/ui", headers={"Host": "elsewhere.example"}).status_code == 421
    assert edge.client.get("/ui", headers={"Host": "LOCALHOST:1"}).status_code == 200
    with pytest.raises(ssl.SSLError), edge.connected(name="elsewhere.example"):
        pass


def test_browsers_get_http_2(edge: Edge) -> None:
    edge.trust.set_alpn_protocols(["h2", "http/1.1"])
    with edge.connected() as connection:
        assert connection.selected_alpn_protocol() == "h2"
    edge.trust.set_alpn_protocols(["http/1.1"])


@pytest.mark.parametrize("path", ["/ui", "/nowhere", API])
def test_browsers_are_told_what_pages_may_do(edge: Edge, path: str) -> None:
    heads = edge.client.get(path).headers
    assert heads["Strict-Transport-Security"] == "max-age=63072000"
    assert heads["X-Content-Type-Options"] == "nosniff"
    assert heads["X-Frame-Options"] == "SAMEORIGIN"
    assert heads["Referrer-Policy"] == "same-origin"
    assert heads["X-Robots-Tag"] == "noindex"
    assert "Server" not in heads
    policy = dict(part.strip().split(" ", 1) for part in heads["Content-Security-Policy"].split(";"))
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == policy["default-src"] == "'self'"
    assert policy["object-src"] == "'none'"
    assert "http" not in policy["script-src"]
    # What Kestra's interface cannot do without: see the template.
    assert {"'unsafe-inline'", "'unsafe-eval'"} <= set(policy["script-src"].split())
    assert "blob:" in policy["worker-src"]


def test_a_policy_of_kestras_own_is_left_as_it_is(edge: Edge) -> None:
    assert edge.client.get("/ui/its-own-policy").headers["Content-Security-Policy"] == "its own"


def test_an_event_stream_stays_open_longer_than_any_client_may_be_silent_and_over_a_reload(edge: Edge) -> None:
    edge.reload("s/timeout client 60s/timeout client 1s/; s/timeout http-keep-alive 30s/timeout http-keep-alive 1s/")
    arrived: list[float] = []
    enough = threading.Event()

    def follow() -> None:
        with edge.client.stream("GET", "/api/v1/main/executions/x/follow") as answer:
            for line in answer.iter_lines():
                if line:
                    arrived.append(time.monotonic())
                if len(arrived) == 4:
                    enough.set()
                    return

    with ThreadPoolExecutor() as pool:
        following = pool.submit(follow)
        time.sleep(4)
        assert len(arrived) == 2  # one comes every three seconds
        edge.configure(KEY, SECRET)
        following.result(timeout=20)
    assert enough.is_set()


def test_events_come_one_by_one_over_http_2_as_browsers_speak_it(edge: Edge) -> None:
    """Longer than a silent client may be; calls beside it are answered."""
    edge.reload("s/timeout client 60s/timeout client 1s/; s/timeout http-keep-alive 30s/timeout http-keep-alive 1s/")
    with (
        httpx.Client(base_url=edge.client.base_url, verify=edge.trust, trust_env=False, http2=True) as browser,
        browser.stream("GET", "/api/v1/main/executions/x/follow") as answer,
    ):
        arrived = []
        for line in answer.iter_lines():
            if line:
                arrived.append(time.monotonic())
                assert browser.get("/ui").status_code == 200
            if len(arrived) == 3:
                break
    assert answer.http_version == "HTTP/2"
    assert all(later - earlier > 2 for earlier, later in pairwise(arrived))
    edge.configure(KEY, SECRET)


def test_http_only_redirects_and_only_by_its_name(edge: Edge) -> None:
    said = edge.inside_its_network(
        f"wget -S -O- --header 'Host: localhost' http://{edge.name}:8080{HOOK}{KEY} 2>&1 | head -3;"
        f"wget -S -O- --header 'Host: elsewhere.example' http://{edge.name}:8080/ 2>&1 | head -3"
    )
    assert " 308 " in said
    assert " 421 " in said
    assert KEY not in edge.log()
