"""Git at the lab's GitHub: over HTTP with a token, over SSH with a deploy key, within the rules of a branch."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab import keys
from tests.lab.hub import HOOK, PROTECTED, Hub, attempt, git

REPO = "/repos/centaurin/carica"


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
    body = {"events": ["push"], "config": {"url": HOOK, "content_type": "json"}}
    api.post(f"{REPO}/hooks", json=body)
    sha = commit(tmp_path / "work")
    git("push", "--quiet", "origin", "main", cwd=tmp_path / "work")
    assert api.get(f"{REPO}/branches/main").json()["commit"]["sha"] == sha
    last = github.client.deliveries("centaurin/carica")[-1]
    assert (last["event"], last["request"]["payload"]["after"]) == ("push", sha)
    assert last["request"]["payload"]["pusher"]["name"] == "carica-admin"


def test_a_commit_of_the_lab_adds_changes_and_removes_files(github: Hub, tmp_path: Path) -> None:
    github.client.commit("centaurin/open", {"a": "1", "b/c": "2", "d": "3"})
    github.client.commit("centaurin/open", {"a": "changed", "b/c": None})
    git("clone", "--quiet", f"http://{github.git}/centaurin/open.git", str(tmp_path / "clone"))
    files = {path.name: path.read_text() for path in (tmp_path / "clone").iterdir() if path.is_file()}
    assert files == {"a": "changed", "d": "3"}
    assert not (tmp_path / "clone" / "b").exists()


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


def ssh(github: Hub, folder: Path, key: str, host_key: str = "github_ed25519") -> dict[str, str]:
    """Return the environment of a git that logs in with a key, and knows the host by its key."""
    folder.mkdir(exist_ok=True)
    (folder / "known_hosts").write_text(f"{github.address} {keys.ssh_key(host_key).public}\n")
    keys.keep(folder / key, keys.ssh_key(key).private)
    options = "-o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -F /dev/null"
    return {"GIT_SSH_COMMAND": f"ssh -i {folder / key} -o UserKnownHostsFile={folder / 'known_hosts'} {options}"}


def deploy_key(api: httpx.Client, key: str, *, read_only: bool) -> None:
    body = {"title": key, "key": keys.ssh_key(key).public, "read_only": read_only}
    api.post(f"{REPO}/keys", json=body).raise_for_status()


def protect(api: httpx.Client, *actors: dict[str, Any]) -> None:
    """Let nothing but pull requests change the default branch, except for `actors`."""
    api.post(f"{REPO}/rulesets", json={**PROTECTED, "bypass_actors": actors}).raise_for_status()


@pytest.fixture
def public(api: httpx.Client) -> None:
    """Rulesets are for public repositories in a free plan."""
    api.patch(REPO, json={"visibility": "public"}).raise_for_status()


def test_a_deploy_key_reads_its_repository_and_no_other(github: Hub, api: httpx.Client, tmp_path: Path) -> None:
    deploy_key(api, "reader", read_only=True)
    github.client.commit("centaurin/open", {"a": "b"})
    env = ssh(github, tmp_path / "keys", "reader")
    git("clone", "--quiet", f"git@{github.address}:centaurin/carica.git", str(tmp_path / "work"), env=env)
    assert (tmp_path / "work/README.md").read_text() == "one\n"
    other = attempt("ls-remote", f"git@{github.address}:centaurin/open.git", env=env)
    assert "ERROR: Repository not found." in other.stderr
    commit(tmp_path / "work")
    refused = attempt("push", "origin", "main", cwd=tmp_path / "work", env=env)
    assert "ERROR: The key you are authenticating with has been marked as read only." in refused.stderr


def test_ssh_lets_only_known_keys_in_and_gives_no_shell(github: Hub, api: httpx.Client, tmp_path: Path) -> None:
    unknown = attempt(
        "ls-remote", f"git@{github.address}:centaurin/carica.git", env=ssh(github, tmp_path / "keys", "unknown")
    )
    assert "Permission denied (publickey)" in unknown.stderr
    deploy_key(api, "reader", read_only=True)
    words = ssh(github, tmp_path / "keys", "reader")["GIT_SSH_COMMAND"].split()
    shell = subprocess.run([*words, f"git@{github.address}", "id"], capture_output=True, text=True, check=False)
    assert shell.returncode == 1
    assert "successfully authenticated, but GitHub does not provide shell access" in shell.stderr


def test_a_host_of_another_key_is_not_trusted(github: Hub, api: httpx.Client, tmp_path: Path) -> None:
    deploy_key(api, "reader", read_only=True)
    env = ssh(github, tmp_path / "keys", "reader", host_key="another_host")
    refused = attempt("ls-remote", f"git@{github.address}:centaurin/carica.git", env=env)
    assert "Host key verification failed" in refused.stderr


def test_a_push_over_ssh_is_heard_of_too(github: Hub, api: httpx.Client, tmp_path: Path) -> None:
    deploy_key(api, "writer", read_only=False)
    body = {"events": ["push"], "config": {"url": HOOK, "content_type": "json"}}
    api.post(f"{REPO}/hooks", json=body).raise_for_status()
    env = ssh(github, tmp_path / "keys", "writer")
    git("clone", "--quiet", f"git@{github.address}:centaurin/carica.git", str(tmp_path / "work"), env=env)
    sha = commit(tmp_path / "work")
    git("push", "--quiet", "origin", "main", cwd=tmp_path / "work", env=env)
    assert github.client.deliveries("centaurin/carica")[-1]["request"]["payload"]["after"] == sha


def test_rules_stop_a_direct_push_in_githubs_words(
    github: Hub, api: httpx.Client, public: None, tmp_path: Path
) -> None:
    protect(api)
    token = github.client.token({"contents": "write"})
    git("clone", "--quiet", over_http(github, token), str(tmp_path / "work"))
    commit(tmp_path / "work")
    refused = attempt("push", "origin", "main", cwd=tmp_path / "work")
    assert "remote: error: GH013: Repository rule violations found for refs/heads/main." in refused.stderr
    assert "- Changes must be made through a pull request." in refused.stderr
    assert '- Required status check "check" is expected.' in refused.stderr
    git("push", "--quiet", "origin", "main:topic", cwd=tmp_path / "work")
    assert "- Cannot delete this branch" in attempt("push", "origin", ":main", cwd=tmp_path / "work").stderr
    git("commit", "--amend", "--quiet", "--message", "Another", cwd=tmp_path / "work")
    git("push", "--quiet", "--force", "origin", "main:topic", cwd=tmp_path / "work")
    git("reset", "--quiet", "--hard", "HEAD^", cwd=tmp_path / "work")
    git("commit", "--amend", "--quiet", "--message", "Yet another", cwd=tmp_path / "work")
    forced = attempt("push", "--force", "origin", "main", cwd=tmp_path / "work")
    assert "- Cannot force-push to this branch" in forced.stderr


def test_who_may_pass_the_rules_by_is_told_that_it_did(
    github: Hub, api: httpx.Client, public: None, tmp_path: Path
) -> None:
    protect(api, {"actor_id": None, "actor_type": "DeployKey", "bypass_mode": "always"})
    deploy_key(api, "writer", read_only=False)
    env = ssh(github, tmp_path / "keys", "writer")
    git("clone", "--quiet", f"git@{github.address}:centaurin/carica.git", str(tmp_path / "work"), env=env)
    commit(tmp_path / "work")
    passed = git("push", "origin", "main", cwd=tmp_path / "work", env=env)
    assert "remote: Bypassed rule violations for refs/heads/main:" in passed


def test_a_token_without_the_permission_changes_no_workflow(github: Hub, tmp_path: Path) -> None:
    token = github.client.token({"contents": "write"})
    git("clone", "--quiet", over_http(github, token), str(tmp_path / "work"))
    workflow = tmp_path / "work/.github/workflows/ci.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text("on: push\n")
    git("add", ".", cwd=tmp_path / "work")
    commit(tmp_path / "work")
    refused = attempt("push", "origin", "main", cwd=tmp_path / "work")
    assert "create or update workflow `.github/workflows/ci.yml` without `workflows` permission" in refused.stderr
    allowed = over_http(github, github.client.token({"contents": "write", "workflows": "write"}))
    git("push", "--quiet", allowed, "main", cwd=tmp_path / "work")


def test_git_over_http_misbehaves_as_asked(github: Hub, tmp_path: Path) -> None:
    github.client.misbehave("error", path="/info/refs", status=503)
    url = over_http(github, github.client.token())
    assert "503" in attempt("ls-remote", url).stderr
    assert "refs/heads/main" in git("ls-remote", url)


def test_an_owner_passes_the_rules_by_where_the_role_may(
    github: Hub, api: httpx.Client, public: None, tmp_path: Path
) -> None:
    protect(api, {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"})
    owner = over_http(github, github.client.token({"contents": "write"}))
    other = over_http(github, github.client.token({"contents": "write"}, user="dev", organization_admin=False))
    git("clone", "--quiet", owner, str(tmp_path / "work"))
    commit(tmp_path / "work")
    assert "GH013" in attempt("push", other, "main", cwd=tmp_path / "work").stderr
    assert "Bypassed rule violations" in git("push", owner, "main", cwd=tmp_path / "work")


def test_rules_hold_for_the_api_too(github: Hub, api: httpx.Client, public: None) -> None:
    protect(api)
    body = {"message": "x", "content": base64.b64encode(b"x").decode()}
    refused = api.put(f"{REPO}/contents/NEW.md", json=body)
    assert refused.status_code == 409
    assert "Changes must be made through a pull request." in refused.json()["message"]
    assert "Cannot delete this branch" in api.delete(f"{REPO}/git/refs/heads/main").json()["message"]
    sha = api.get(f"{REPO}/branches/main").json()["commit"]["sha"]
    assert api.post(f"{REPO}/git/refs", json={"ref": "refs/heads/topic", "sha": sha}).status_code == 201
    assert api.put(f"{REPO}/contents/NEW.md", json=body | {"branch": "topic"}).status_code == 201
