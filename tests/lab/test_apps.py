"""The team's applications answer as they are built to: well, not at all, or never healthy."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lab import apps
from lab.shell import run
from tests.estate import eventually, free_port


class App:
    """A container of a version."""

    def __init__(self, variant: str) -> None:
        self.name, self.port = f"carica-test-{secrets.token_hex(3)}", free_port()
        reference = apps.build("carica", "v7", variant, port=1)
        publish = f"127.0.0.1:{self.port}:8080"
        run("app", ["docker", "run", "--detach", "--name", self.name, "--publish", publish, reference])

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=10)

    def state(self, what: str) -> str:
        return run("container", ["docker", "inspect", "--format", f"{{{{.State.{what}}}}}", self.name]).strip()


@pytest.fixture
def app(request: pytest.FixtureRequest, references: dict[str, str]) -> Iterator[App]:
    app = App(request.param)
    yield app
    run("app", ["docker", "rm", "--force", app.name])
    run("image", ["docker", "image", "rm", f"{apps.image('carica', 1)}:v7"])


@pytest.mark.parametrize("app", [apps.GOOD], indirect=True)
def test_a_good_one_answers_its_version_and_gets_healthy(app: App) -> None:
    assert eventually(lambda: app.state("Health.Status") == "healthy")
    assert app.get("/").text == "carica v7\n"
    assert app.get("/healthz").text == "ok\n"
    assert app.get("/other").status_code == 404


@pytest.mark.parametrize("app", [apps.GOOD], indirect=True)
def test_one_that_is_told_to_end_says_so_goes_on_and_finishes(app: App) -> None:
    eventually(lambda: app.state("Health.Status") == "healthy")
    run("stop", ["docker", "kill", "--signal", "TERM", app.name])
    eventually(lambda: app.get("/healthz").status_code == 404)
    assert app.get("/cgi-bin/slow").text == "carica v7\n"
    assert eventually(lambda: app.state("Status") == "exited")
    assert app.state("ExitCode") == "0"


@pytest.mark.parametrize("app", [apps.GOOD], indirect=True)
def test_it_answers_several_at_once(app: App) -> None:
    eventually(lambda: app.state("Health.Status") == "healthy")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(app.get, "/cgi-bin/slow")
        assert app.get("/").text == "carica v7\n"
        assert not slow.done()


@pytest.mark.parametrize("app", [apps.BROKEN], indirect=True)
def test_a_broken_one_ends_at_once(app: App) -> None:
    assert eventually(lambda: app.state("Status") == "exited")
    assert app.state("ExitCode") == "1"


@pytest.mark.parametrize("app", [apps.SICK], indirect=True)
def test_a_sick_one_serves_and_never_gets_healthy(app: App) -> None:
    assert eventually(lambda: app.state("Health.Status") == "unhealthy")
    assert app.get("/").text == "carica v7\n"
    assert app.get("/healthz").status_code == 404


@pytest.mark.parametrize("app", ["well"], indirect=True)
def test_there_is_no_other_variant(app: App) -> None:
    assert eventually(lambda: app.state("ExitCode") == "2")
