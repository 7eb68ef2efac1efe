"""The edge and webhooks: what is held for strangers, how long, and that each delivery reaches Kestra once."""

import contextlib
import json
import secrets
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.job import JobError, JobProvider
from lab import github
from tests.edge_alone import HOOK, Edge, docker, new_edge, new_key, new_secret
from tests.estate import eventually

KEY, SECRET = new_key(), new_secret()
SLOW, HANGING = HOOK.replace("a_flow", "slow"), HOOK.replace("a_flow", "hanging")


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """An edge that serves."""
    with new_edge() as edge:
        edge.configure(KEY, SECRET)
        edge.start()
        yield edge


def signed(body: bytes, hook: str = HOOK) -> bytes:
    """A delivery as bytes."""
    head = f"POST {hook}{KEY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}X-Hub-Signature-256: {github.signature(SECRET, body)}\r\n\r\n".encode() + body


def body() -> bytes:
    """A body never seen before."""
    return json.dumps({"id": secrets.token_hex(8)}).encode()


def waiting(edge: Edge, stack: contextlib.ExitStack, size: int, port: int | None = None) -> ssl.SSLSocket:
    """Begin a delivery of a size whose end does not come."""
    connection = stack.enter_context(edge.connected(port))
    connection.sendall(signed(secrets.token_hex(size // 2).encode())[:-1])
    return connection


def counted(edge: Edge, size: int, count: int) -> None:
    """Wait until the edge holds `count` bodies of a size for a source."""
    table = "senders" if size == 200 else "large_senders"
    script = f"echo show table {table} | socat - UNIX-CONNECT:/var/lib/haproxy/admin.sock"
    eventually(lambda: f"conn_cur={count}\n" in edge.inside(script))


def answer(connection: ssl.SSLSocket) -> int:
    """The status that comes back."""
    return int(connection.recv(64).split()[1])


def told(edge: Edge, *verdicts: str) -> bool:
    """Wait until the log ends with requests of these verdicts: it is written after the answer."""
    return bool(eventually(lambda: [each["verdict"] for each in edge.requests()[-len(verdicts) :]] == [*verdicts], 5))


@pytest.mark.parametrize(("size", "of_one", "in_all"), [(200, 48, 64), (300_000, 6, 8)])
def test_few_bodies_are_held_and_not_all_of_them_for_one_source(
    edge: Edge, size: int, of_one: int, in_all: int
) -> None:
    one, other = edge.elsewhere(), edge.elsewhere()
    edge.reload("s/wait-for-body time 8s/wait-for-body time 60s/")
    sent = secrets.token_hex(size // 2).encode()
    with contextlib.ExitStack() as opened:
        for _ in range(of_one):
            waiting(edge, opened, size, one.port)
        counted(edge, size, of_one)
        assert answer(waiting(edge, opened, size, one.port)) == 503
        assert told(edge, "hook-busy-source")
        # There is room for others, until all is taken.
        assert edge.deliver(KEY, SECRET, sent, client=other.client).status_code == 200
        for _ in range(in_all - of_one):
            waiting(edge, opened, size, other.port)
        counted(edge, size, in_all - of_one)
        assert edge.deliver(KEY, SECRET, sent).status_code == 503
        assert told(edge, "hook-busy")
        # Large bodies leave small ones their room.
        assert edge.deliver(KEY, SECRET).status_code == (503 if size == 200 else 200)
    eventually(lambda: edge.deliver(KEY, SECRET, client=one.client).status_code == 200)
    edge.configure(KEY, SECRET)


def test_who_does_not_know_the_key_takes_no_place_among_webhooks(edge: Edge) -> None:
    """Not even an answer that it does not read may stand there: the places are counted."""
    assert edge.deliver("k" * 24, SECRET).status_code == 404
    refused = eventually(lambda: [each for each in edge.requests() if each["verdict"] == "hook-key"])
    assert refused[-1]["through"] == "https"


def test_who_does_not_know_the_key_holds_nothing(edge: Edge) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(10):
            connection = opened.enter_context(edge.connected())
            connection.sendall(signed(body()).replace(KEY.encode(), new_key().encode())[:-1])
            assert answer(connection) == 404


def test_a_body_that_does_not_come_is_waited_for_eight_seconds(edge: Edge) -> None:
    with contextlib.ExitStack() as opened:
        began = time.monotonic()
        assert answer(waiting(edge, opened, 200)) == 408
        assert 7 < time.monotonic() - began < 10
    assert told(edge, "hook-slow")


def test_githubs_ten_seconds_are_kept_however_they_are_spent(edge: Edge) -> None:
    with edge.connected() as connection:
        began = time.monotonic()
        sent = signed(body(), HANGING)
        connection.sendall(sent[:-1])
        time.sleep(4)
        connection.sendall(sent[-1:])
        assert answer(connection) == 504
        assert 9 < time.monotonic() - began < 10


def test_a_delivery_is_not_handed_over_twice_at_a_time(edge: Edge) -> None:
    same = body()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(edge.deliver, KEY, SECRET, same, SLOW)
        time.sleep(1)
        second = edge.deliver(KEY, SECRET, same, SLOW)
        assert (second.status_code, second.text) == (409, "the same delivery is under way")
        assert first.result().text.startswith(SLOW)
    assert edge.deliver(KEY, SECRET, same, SLOW).text == "duplicate ignored"
    assert told(edge, "hook-underway", "verified", "duplicate")


def test_a_delivery_is_remembered_though_its_sender_closed_the_connection(edge: Edge) -> None:
    same = body()
    with edge.connected() as connection:
        connection.sendall(signed(same, SLOW))
        time.sleep(1)
    time.sleep(3)
    assert edge.deliver(KEY, SECRET, same, SLOW).text == "duplicate ignored"


@pytest.mark.parametrize("size", [2_000, 60_000, 2_000_000, 25 * 1024 * 1024])
def test_bodies_of_every_size_that_github_sends_are_taken(edge: Edge, size: int) -> None:
    sent = secrets.token_hex(size // 2).encode()
    assert edge.deliver(KEY, SECRET, sent).text.startswith(HOOK)
    assert edge.raw(signed(sent)[:-1] + b"x") == 403


@pytest.mark.parametrize("extra", ["Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n"])
def test_a_length_that_is_said_in_two_ways_is_refused(edge: Edge, extra: str) -> None:
    sent = signed(body()).replace(b"X-Hub", extra.encode() + b"X-Hub", 1)
    assert edge.raw(sent) in (0, 400, 411)


@pytest.mark.parametrize(
    "path", ["/api/v1/main/executions;x/webhook/prod/a_flow/", "/api/v1/main\\executions/webhook/"]
)
def test_a_path_that_others_might_read_differently_is_refused(edge: Edge, path: str) -> None:
    assert edge.raw(signed(body()).replace(HOOK.encode(), path.encode())) == 400


@pytest.mark.parametrize("length", [26214401, 2**31, 2**32 + 5, 2**40, 2**63])
def test_a_length_beyond_githubs_is_refused_however_large(edge: Edge, length: int) -> None:
    head = signed(body()).partition(b"\r\n\r\n")[0]
    sent = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length"))
    assert edge.raw(sent + f"\r\nContent-Length: {length}\r\n\r\n".encode()) in (400, 413)


def test_githubs_addresses_alone_where_the_stack_says_so(edge: Edge) -> None:
    one, other = edge.elsewhere(), edge.elsewhere()
    edge.settings["hooksFromGithubOnly"] = True
    edge.hook_addresses = [f"{one.address}/32", "2001:db8::/32"]
    edge.configure(KEY, SECRET)
    assert edge.deliver(KEY, SECRET, client=one.client).status_code == 200
    assert edge.deliver(KEY, SECRET, client=other.client).status_code == 403
    assert told(edge, "hook-source")
    assert edge.status("/ui", other.client) == 200
    del edge.settings["hooksFromGithubOnly"]
    edge.configure(KEY, SECRET)
    assert edge.deliver(KEY, SECRET, client=other.client).status_code == 200


@pytest.mark.parametrize("what", ["key", "secret"])
@pytest.mark.parametrize("how", ["empty", "missing"])
def test_without_a_key_or_a_secret_the_job_fails_and_what_runs_goes_on(edge: Edge, what: str, how: str) -> None:
    job = edge.job("configuration", KEY, SECRET)
    lines = job["files"]["/new/accepted"].splitlines()
    kept = [line for line in lines if not line.startswith(f"{what} ")]
    assert len(kept) == len(lines) - 1
    job["files"]["/new/accepted"] = "\n".join(kept + ([f"{what} "] if how == "empty" else [])) + "\n"
    with pytest.raises(JobError, match=f"the edge has no webhook {what}"):
        JobProvider().create(job)
    assert edge.deliver(KEY, SECRET).status_code == 200


def test_haproxy_itself_does_not_start_without_a_secret(edge: Edge) -> None:
    volume = f"--volume={edge.name}-configuration:/usr/local/etc/haproxy:ro"
    script = "cd /tmp; sed /EDGE_HAS_SECRET.yes/d /usr/local/etc/haproxy/haproxy.cfg > cut; exec haproxy -W -db -f cut"
    started = subprocess.run(
        ["docker", "run", "--rm", volume, "--entrypoint=sh", edge.image, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode != 0
    assert "the edge has no webhook secret" in started.stderr
    assert "EDGE_HAS_SECRET" in docker("exec", edge.name, "cat", "/usr/local/etc/haproxy/haproxy.cfg")
