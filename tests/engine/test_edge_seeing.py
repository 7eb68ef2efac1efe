"""What the edge shows of itself, and to whom: log, health, and, where the stack wants them, figures and statistics."""

import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from components.job import JobProvider
from tests.edge_alone import HOOK, Edge, docker, new_edge, new_key, new_secret
from tests.estate import eventually, free_port

KEY, SECRET, PASSWORD = new_key(), new_secret(), new_key()


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """An edge that serves, with everything that is off by default."""
    with new_edge() as edge:
        edge.settings |= {"edgeMetrics": "true", "statsPassword": PASSWORD, "statsPort": str(free_port())}
        edge.configure(KEY, SECRET)
        edge.start()
        yield edge


def fetched(edge: Edge, url: str) -> str:
    """What a container in the edge's network gets from `url`."""
    return edge.inside_its_network(f"wget -q -T 3 -O- {url} || echo nothing")


def test_a_request_is_one_json_object(edge: Edge) -> None:
    before = len(edge.requests())
    edge.deliver(KEY, SECRET)
    seen = eventually(lambda: edge.requests()[before:])[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", seen["at"])
    assert re.fullmatch(r"[0-9a-f-]{36}", seen["id"])
    assert re.fullmatch(r"[0-9.]+", seen["source"])
    assert (seen["method"], seen["path"], seen["status"]) == ("POST", f"{HOOK}***", 200)
    assert (seen["verdict"], seen["through"], seen["protocol"]) == ("verified", "webhooks", "HTTP/1.1")
    assert seen["tls"].startswith("TLSv1.")
    for timing in ("head", "held", "connect", "kestra", "total"):
        assert 0 <= seen[timing] < 5000


@pytest.mark.parametrize(
    ("request_", "verdict"),
    [
        (b"GET /ui HTTP/1.1\r\nHost: localhost\r\n\r\n", "served"),
        (b"GET /ui HTTP/1.1\r\nHost: elsewhere\r\n\r\n", "host"),
        (b"TRACE /ui HTTP/1.1\r\nHost: localhost\r\n\r\n", "method"),
        (b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", "undecodable"),
        (b"GET /ui/../x HTTP/1.1\r\nHost: localhost\r\n\r\n", "ambiguous-path"),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "path"),
        (b"POST /api/v1/executions/webhook/x HTTP/1.1\r\nHost: localhost\r\n\r\n", "hook-path"),
        (f"GET {HOOK}x HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), "hook-method"),
        (f"POST {HOOK}x HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), "hook-key"),
        (f"POST {HOOK}{KEY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), "hook-length"),
        (f"POST {HOOK}{KEY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n".encode(), "hook-size"),
        (f"POST {HOOK}{KEY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode(), "hook-signature-form"),
        (
            f"POST {HOOK}{KEY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
            f"X-Hub-Signature-256: sha256={'0' * 64}\r\n\r\n".encode(),
            "hook-signature",
        ),
        (b"GET /ui HTTP/1.1\r\nHost: localhost\r\nbroken\r\n\r\n", "unread"),
    ],
)
def test_the_log_names_the_rule_that_refused(edge: Edge, request_: bytes, verdict: str) -> None:
    before = len(edge.requests())
    edge.raw(request_)
    assert eventually(lambda: edge.requests()[before:])[0]["verdict"] == verdict


def test_a_long_path_does_not_cut_the_line(edge: Edge) -> None:
    edge.client.get("/ui/" + "x" * 3000)
    line = eventually(lambda: [each for each in edge.requests() if each.get("path", "").startswith("/ui/xxx")])[-1]
    assert (line["verdict"], len(line["path"])) == ("served", 500)


def test_no_query_and_no_header_stands_in_the_log(edge: Edge) -> None:
    said = new_secret()
    edge.client.get(
        f"/api/v1/main/flows?token={said}", headers={"Authorization": said, "Referer": said, "Cookie": said}
    )
    edge.client.get(f"/{said}%00")
    assert said not in edge.log()


def test_a_connection_that_comes_to_nothing_is_told_of(edge: Edge) -> None:
    before = len(edge.requests())
    with edge.plain() as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection.recv(100)
    seen = eventually(lambda: edge.requests()[before:])[0]
    assert (seen["verdict"], bool(seen["error"])) == ("unread", True)


def test_figures_are_for_containers_and_nobody_outside(edge: Edge) -> None:
    assert "haproxy_frontend_http_requests_total" in fetched(edge, f"http://{edge.name}:9101/metrics")
    assert fetched(edge, f"http://{edge.name}:9101/other") == "nothing\n"
    assert fetched(edge, f"http://{edge.name}:8404/metrics") == "nothing\n"
    assert edge.status("/metrics") == 404
    assert "9101" not in docker("port", edge.name)


def test_statistics_want_their_password_and_are_published_on_the_loopback_alone(edge: Edge) -> None:
    port = edge.settings["statsPort"]
    assert f"8405/tcp -> 127.0.0.1:{port}" in docker("port", edge.name)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert client.get("/").status_code == 401
        assert client.get("/", auth=("statistics", new_key())).status_code == 401
        page = client.get("/", auth=("statistics", PASSWORD))
        assert page.status_code == 200
        assert "Statistics Report" in page.text
        assert "3.4.7" not in page.text
        changed = client.post(
            "/", auth=("statistics", PASSWORD), data={"s": "kestra", "action": "maint", "b": "kestra"}
        )
        assert changed.headers.get("location", "").rpartition("st=")[2] != "DONE", changed.headers


def test_health_is_told_inside_the_container_alone(edge: Edge) -> None:
    probe = ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8404/healthz"]
    subprocess.run(["docker", "exec", edge.name, *probe], check=True)
    assert edge.status("/healthz") == 404


def test_by_default_there_is_neither(edge: Edge) -> None:
    chosen, edge.settings = edge.settings, {}
    try:
        files = edge.job("configuration", KEY, SECRET)["files"]
        for line in ("bind :9101", "bind :8405", "stats enable"):
            assert line not in files["/new/haproxy.cfg"]
        JobProvider().create(edge.job("configuration", KEY, SECRET))
        assert fetched(edge, f"http://{edge.name}:9101/metrics") == "nothing\n"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{chosen['statsPort']}/", trust_env=False)
    finally:
        edge.settings = chosen
