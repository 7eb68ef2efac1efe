"""The flow's provider against a Kestra that answers as it is told: what it asks for, takes, and says."""

import functools
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pulumi.dynamic import ConfigureRequest

from components import flow as flow_component
from components.flow import FlowError, FlowFileError, FlowProvider, Kestra, Unreachable, read_flows
from lab import keys
from lab.paths import STATE
from tests.unit.program import program

SOURCE = "id: one\nnamespace: prod\ntasks:\n  - id: a\n    type: io.kestra.plugin.core.log.Log\n    message: hello\n"
URL = "https://desk.test"
LOGIN = {"kestraUser": "admin@desk.test", "kestraPassword": "Kestra-login-1"}
Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers each request by `answer`, and remembers it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    @property
    def asked(self) -> list[str]:
        return [f"{each.method} {each.url.path.removeprefix('/api/v1/main')}" for each in self.requests]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], Server]:
    """Put `answer` in the place of Kestra and the edge."""

    def serve(answer: Answer) -> Server:
        server = Server(answer)
        monkeypatch.setattr("httpx.Client", functools.partial(httpx.Client, transport=httpx.MockTransport(server)))
        return server

    return serve


Serve = Callable[[Answer], Server]


def always(status: int, **content: Any) -> Answer:
    return lambda request: httpx.Response(status, **content)


def by_method(**answers: httpx.Response) -> Answer:
    return lambda request: answers[request.method]


def kestra(patience: float = 0.5) -> Kestra:
    return Kestra(URL, "", "admin@desk.test", "Kestra-login-1", patience)


def provider() -> FlowProvider:
    made = FlowProvider()
    config: Any = SimpleNamespace(require=LOGIN.__getitem__)
    made.configure(ConfigureRequest(config))
    return made


def props(**changed: str) -> dict[str, Any]:
    return {"url": URL, "ca": "", "source": SOURCE, **changed}


def found(source: str = SOURCE) -> httpx.Response:
    return httpx.Response(200, json={"id": "one", "namespace": "prod", "source": source})


def missing() -> httpx.Response:
    return httpx.Response(404, json={"message": "Unable to find flow"})


def invalid() -> httpx.Response:
    return httpx.Response(422, json={"message": 'Invalid entity: Unrecognized field "massage"'})


def test_a_flow_that_is_not_there_is_created_and_one_that_is_is_updated(serve: Serve) -> None:
    server = serve(by_method(GET=missing(), POST=found()))
    assert provider().create(props()).id == "prod/one"
    assert server.asked == ["GET /flows/prod/one", "POST /flows"]
    assert server.requests[1].content.decode() == SOURCE
    assert server.requests[1].headers["Content-Type"] == "application/x-yaml"
    assert server.requests[1].headers["Authorization"].startswith("Basic ")
    server = serve(by_method(GET=found(), PUT=found()))
    provider().update("prod/one", props(), props())
    assert server.asked == ["GET /flows/prod/one", "PUT /flows/prod/one"]


def test_kestra_is_waited_for_while_it_starts(serve: Serve) -> None:
    answers = iter([502, 503, 504, 429, 0, 200])

    def answer(request: httpx.Request) -> httpx.Response:
        status = next(answers)
        if not status:
            raise httpx.ConnectError("connection refused")
        return httpx.Response(status, json={"source": SOURCE})

    server = serve(answer)
    assert kestra(patience=30).get("prod/one") == SOURCE
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("answer", "last"),
    [
        (always(503), "it answered 503 Service Unavailable"),
        (always(500), "it answered 500 Internal Server Error"),
        (lambda request: (_ for _ in ()).throw(httpx.ConnectError("connection refused")), "ConnectError: connection"),
        (lambda request: (_ for _ in ()).throw(httpx.ReadTimeout("timed out")), "ReadTimeout: timed out"),
    ],
)
def test_the_wait_is_bounded_and_ends_with_the_last_error(serve: Serve, answer: Answer, last: str) -> None:
    server = serve(answer)
    with pytest.raises(Unreachable, match=rf"waited 1 s for Kestra at {URL}: {last}"):
        kestra(patience=1).get("prod/one")
    assert 2 <= len(server.requests) <= 10


@pytest.mark.parametrize("status", [401, 403, 405, 422])
def test_another_answer_is_an_error_at_once_and_names_no_password(serve: Serve, status: int) -> None:
    server = serve(always(status, text="why"))
    calls: list[Callable[[], Any]] = [lambda: kestra().get("prod/one"), lambda: kestra().delete("prod/one")]
    for call in calls:
        with pytest.raises(FlowError, match="refuses the login" if status == 401 else f"{status} why") as said:
            call()
        assert "Kestra-login-1" not in str(said.value)
    assert len(server.requests) == 2


def test_an_invalid_flow_is_refused_with_kestras_words(serve: Serve) -> None:
    for method, there in (("POST", missing()), ("PUT", found())):
        serve(by_method(GET=there, **{method: invalid()}))
        with pytest.raises(FlowError, match=r'refuses flow prod/one, and keeps what it had: .*field "massage"'):
            provider().create(props())


def test_a_refusal_without_a_message_is_shown_as_it_came(serve: Serve) -> None:
    serve(by_method(GET=missing(), POST=httpx.Response(422, text="<html>")))
    with pytest.raises(FlowError, match="422 <html>"):
        provider().create(props())


def test_a_flow_that_disappears_while_it_is_stored_is_an_error(serve: Serve) -> None:
    serve(by_method(GET=found(), PUT=missing()))
    with pytest.raises(FlowError, match=r"PUT /flows/prod/one .*404"):
        provider().update("prod/one", props(), props())


def test_a_flow_that_is_gone_already_is_deleted(serve: Serve) -> None:
    server = serve(always(404))
    provider().delete("prod/one", props())
    assert server.asked == ["DELETE /flows/prod/one"]


def test_a_refresh_finds_what_kestra_has(serve: Serve) -> None:
    serve(always(200, json={"source": f"# a remark\n{SOURCE}"}))
    assert provider().read("prod/one", props()).outs == props()
    edited = SOURCE.replace("hello", "edited")
    serve(always(200, json={"source": edited}))
    assert provider().read("prod/one", props()).outs == props(source=edited)
    serve(always(404))
    assert provider().read("prod/one", props()).id == ""


@pytest.mark.parametrize(("answer", "why"), [(always(503), "503"), (always(401), "refuses the login")])
def test_a_refresh_that_cannot_ask_warns_and_changes_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: Answer, why: str
) -> None:
    monkeypatch.setattr(flow_component, "READ_SECONDS", 0.5)
    serve(answer)
    assert provider().read("prod/one", props()).outs == props()
    said = capsys.readouterr().err
    assert "warning: flow prod/one could not be looked at" in said
    assert why in said


@pytest.fixture(scope="module")
def tls_server() -> Iterator[str]:
    """A Kestra on loopback whose certificate the lab's CA has signed; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = STATE / "flow-test.pem"
    keys.keep(certificate, keys.stack_secrets("localhost")["tlsCertificate"])
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_private_ca_is_trusted(tls_server: str) -> None:
    assert Kestra(tls_server, keys.ca_certificate(), "u", "p", 5).get("prod/one") is None


def test_a_certificate_that_is_not_trusted_is_said_at_once(tls_server: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FlowError, match=r"is not trusted here .*: set tlsCa"):
        provider().create(props(url=tls_server))
    known = props(url=tls_server)
    assert provider().read("prod/one", known).outs == known
    assert "could not be looked at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SOURCE, f"# a remark\n{SOURCE}\n"),
        (SOURCE, SOURCE.replace("id: one\nnamespace: prod", "namespace: 'prod'\nid: \"one\"")),
        (SOURCE, SOURCE.replace("message: hello", "message: >-\n      hello")),
    ],
)
def test_comments_order_and_quoting_are_no_change(before: str, after: str) -> None:
    assert provider().diff("prod/one", props(source=before), props(source=after)).changes is False


@pytest.mark.parametrize(
    ("before", "after"),
    [("hello", "hello there"), ("hello", "'1'"), ("1", "true"), ("1", "'1'"), ("'yes'", "yes"), ("[a, b]", "[b, a]")],
)
def test_another_meaning_is_a_change(before: str, after: str) -> None:
    sources = [props(source=SOURCE.replace("hello", each)) for each in (before, after)]
    shown = provider().diff("prod/one", *sources)
    assert shown.changes
    assert not shown.replaces


@pytest.mark.parametrize("key", ["url", "ca"])
def test_a_new_address_or_ca_is_kept_for_refresh_and_delete(serve: Serve, key: str) -> None:
    serve(by_method(GET=found(), PUT=found()))
    new = props(**{key: "https://other.test" if key == "url" else keys.ca_certificate()})
    shown = provider().diff("prod/one", props(), new)
    assert shown.changes
    assert not shown.replaces
    assert provider().update("prod/one", props(), new).outs == new


def test_another_id_is_another_flow() -> None:
    shown = provider().diff("prod/one", props(), props(source=SOURCE.replace("id: one", "id: two")))
    assert shown.changes
    assert shown.replaces == ["source"]


@pytest.mark.parametrize("text", ["", "id: one", "just text", "id: [", "- a"])
def test_what_is_no_flow_is_refused_before_anything_is_changed(text: str) -> None:
    assert [failure.property for failure in provider().check({}, props(source=text)).failures] == ["source"]
    assert provider().check({}, props()).failures == []


def test_flows_are_read_from_files_that_bear_their_ids(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(SOURCE)
    (tmp_path / "two.yml").write_text("not read")
    (tmp_path / ".one.yml.swp").touch()
    assert read_flows(tmp_path, ["one"]) == {"one": SOURCE}


def test_all_that_is_wrong_with_the_flows_files_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "renamed.yml").write_text(SOURCE)
    (tmp_path / "moved.yml").write_text("id: moved\nnamespace: dev\n")
    (tmp_path / "broken.yml").write_text("id: [")
    (tmp_path / "two.yaml").write_text(SOURCE)
    with pytest.raises(FlowFileError) as refused:
        read_flows(tmp_path, ["renamed", "moved", "broken"])
    said = str(refused.value)
    for part in (
        "have 4 problems; nothing was changed",
        "flows/renamed.yml holds the flow prod/one, not prod/renamed",
        "flows/moved.yml holds the flow dev/moved, not prod/moved",
        "flows/broken.yml is not YAML with a namespace and an id",
        "flows/two.yaml is not named *.yml",
    ):
        assert part in said


def test_the_program_reads_the_flows_before_it_declares_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "renamed.yml").write_text(SOURCE)
    monkeypatch.setattr("components.settings.FLOWS", tmp_path)
    monkeypatch.setattr("components.settings.flows.FLOWS", tmp_path)
    monkeypatch.setattr("pulumi_docker.Provider", None)  # the first that would be declared
    with pytest.raises(FlowFileError):
        program(repositories=[])


def test_a_directory_without_flows_is_refused(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "gone"):
        with pytest.raises(FlowFileError, match="there is none: `up` would delete all flows"):
            read_flows(directory, [])
