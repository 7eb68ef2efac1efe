"""Git at the lab's GitHub: over HTTP with a token, over SSH with a deploy key, within the rules of a branch."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.lab.hub import Hub, attempt, git, hub

REPO = "/repos/centaurin/carica"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with hub(tmp_path_factory.mktemp("hub")) as it:
        yield it


@pytest.fixture
def github(running: Hub) -> Iterator[Hub]:
    running.client.reset()
    running.client.commit("centaurin/carica", {"README.md": "one\n"}, settings={"visibility": "private"})
    yield running
    running.client.deliveries("centaurin/carica")
    assert running.client.violations() == []


@pytest.fixture
def api(github: Hub) -> Iterator[httpx.Client]:
    with github.client.api(github.client.token()) as client:
        yield client


def over_http(github: Hub, token: str) -> str:
    return f"http://x-access-token:{token}@{github.git}/centaurin/carica.git"


def commit(checkout: Path, text: str = "two\n") -> str:
    (checkout / "README.md").write_text(text)
    git("commit", "--quiet", "--all", "--message", "A change", cwd=checkout)
    return git("rev-parse", "HEAD", cwd=checkout).strip()


def test_a_push_over_http_moves_the_branch_and_hooks_hear_of_it(github: Hub, api: httpx.Client, tmp_path: Path) -> None:
    token = github.client.token({"contents": "write"})
    git("clone", "--quiet", over_http(github, token), str(tmp_path / "work"))
    body = {"events": ["push"], "config": {"url": "https://edge.example:8443/", "content_type": "json"}}
    api.post(f"{REPO}/hooks", json=body)
    sha = commit(tmp_path / "work")
    git("push", "--quiet", "origin", "main", cwd=tmp_path / "work")
    assert api.get(f"{REPO}/branches/main").json()["commit"]["sha"] == sha
    last = github.client.deliveries("centaurin/carica")[-1]
    assert (last["event"], last["request"]["payload"]["after"]) == ("push", sha)
    assert last["request"]["payload"]["pusher"]["name"] == "carica-admin"


def test_git_wants_a_token_that_may(github: Hub, tmp_path: Path) -> None:
    wrong = attempt("clone", over_http(github, "wrong"), str(tmp_path / "a"))
    assert "Invalid username or token" in wrong.stderr
    assert "Authentication failed" in wrong.stderr
    other = github.client.token({"contents": "write"}, repositories=["another"])
    assert "not found" in attempt("clone", over_http(github, other), str(tmp_path / "b")).stderr
    reader = github.client.token({"contents": "read"})
    git("clone", "--quiet", over_http(github, reader), str(tmp_path / "c"))
    commit(tmp_path / "c")
    refused = attempt("push", "origin", "main", cwd=tmp_path / "c")
    assert "Permission to centaurin/carica.git denied to carica-admin." in refused.stderr


def test_a_public_repository_is_read_by_anyone_and_written_by_none(github: Hub, tmp_path: Path) -> None:
    github.client.commit("centaurin/open", {"a": "b"})
    git("clone", "--quiet", f"http://{github.git}/centaurin/open", str(tmp_path / "work"))
    assert (tmp_path / "work/a").read_text() == "b"
    (tmp_path / "work/a").write_text("c")
    git("commit", "--quiet", "--all", "--message", "x", cwd=tmp_path / "work")
    assert attempt("push", "origin", "main", cwd=tmp_path / "work").returncode != 0
