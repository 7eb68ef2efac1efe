"""The steps of the workflows, by the script the workflows call, on a real stack and against the lab's GitHub."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ci.pulumi import DIFFERS
from lab import keys
from lab.github import Client
from tests.engine.test_desk import edit_in_ui, source
from tests.estate import Estate, Outcome
from tests.lab.hub import hub

REPOSITORY, BOT = "centaurin/carica-kestra", "github-actions[bot]"


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A GitHub that has this repository, with a pull request."""
    with hub(Path(tmp_path_factory.mktemp("hub"))) as running:
        first = running.client.commit(REPOSITORY, {"flows/a.yaml": "id: a\n"}).commit
        with running.client.api(running.client.token()) as api:
            branch = {"ref": "refs/heads/topic", "sha": first}
            api.post(f"/repos/{REPOSITORY}/git/refs", json=branch).raise_for_status()
            running.client.commit(REPOSITORY, {"flows/a.yaml": "id: b\n"}, branch="topic")
            asked = {"title": "Another flow", "head": "topic", "base": "main"}
            api.post(f"/repos/{REPOSITORY}/pulls", json=asked).raise_for_status()
        yield running.client
        assert running.client.violations() == []


@pytest.fixture
def api(github: Client) -> Iterator[httpx.Client]:
    """What a person sees and writes."""
    with github.api(github.token(user="a-person")) as client:
        yield client


def on_github(github: Client, event: Path, pull_request: dict[str, Any] | None = None, **rights: str) -> dict[str, str]:
    """Return what Actions sets for a run, with a token that has the rights the workflow gives it."""
    event.write_text(json.dumps({"pull_request": pull_request} if pull_request else {"schedule": "17 2 * * *"}))
    return {
        "GITHUB_API_URL": f"{github.url}/api/v3", "GITHUB_SERVER_URL": github.url, "GITHUB_RUN_ID": "1",
        "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_EVENT_PATH": str(event),
        "GITHUB_TOKEN": github.token({"contents": "read", **rights}, repositories=["carica-kestra"], user=BOT),
    }  # fmt: skip


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    """The file that Actions shows on the run's page."""
    return tmp_path / "summary.md"


@pytest.fixture(autouse=True)
def nothing_secret_is_told(desk: Estate, summary: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Search what a test has made public for the stack's secrets."""
    yield
    told = (summary.read_text() if summary.exists() else "") + capfd.readouterr().out
    for path, secret in keys.stack_secrets("localhost").items():
        # Public, and encrypted only because each machine has its own.
        if path not in ("deployHosts[0].hostKey", "gitHostKeys[0]", "ciSecrets.PULUMI_BACKEND_URL"):
            assert not any(line in told for line in secret.splitlines() if len(line) > 8), path


def step(desk: Estate, name: str, summary: Path, **more: str) -> Outcome:
    """Run a step as Actions does, without a GitHub."""
    done = subprocess.run(
        ["ci/step", name], cwd=desk.project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **desk.env, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), **more},
        timeout=600, check=False,
    )  # fmt: skip
    print(done.stdout)
    return Outcome(done.returncode, done.stdout)


def test_preview_shows_what_would_change_and_changes_nothing(desk: Estate, summary: Path) -> None:
    desk.set("haproxyMemory", "384")
    assert step(desk, "preview", summary).code == 0
    desk.unset("haproxyMemory")
    assert summary.read_text().startswith(f"### `pulumi preview` of {desk.name}: 1 to update, ")
    assert "~ memory    : 512 => 384" in summary.read_text()
    assert desk.inspect("haproxy")["HostConfig"]["Memory"] == 512 * 1024 * 1024


def test_up_makes_the_stack_as_the_code_says(desk: Estate, summary: Path) -> None:
    desk.set("haproxyMemory", "384")
    assert step(desk, "up", summary).code == 0
    assert f"### `pulumi up` of {desk.name}: 1 updated, " in summary.read_text()
    assert desk.inspect("haproxy")["HostConfig"]["Memory"] == 384 * 1024 * 1024
    desk.unset("haproxyMemory")
    assert step(desk, "up", summary).code == 0


def test_up_fails_loudly_before_anything_is_touched(desk: Estate, summary: Path) -> None:
    before = desk.container_ids()
    desk.set("kestraUser", "nobody")
    outcome = step(desk, "up", summary)
    desk.set("kestraUser", "admin@example.com")
    assert outcome.code != 0
    assert f"::error title={desk.name} is not as main says::" in outcome.text
    assert f"### `pulumi up` of {desk.name}: **failed**" in summary.read_text()
    assert "have 1 problem; nothing was changed" in summary.read_text()
    assert desk.container_ids() == before


def test_a_pull_request_gets_one_comment_that_follows_it(
    desk: Estate, summary: Path, github: Client, api: httpx.Client, tmp_path: Path
) -> None:
    pull_request = api.get(f"/repos/{REPOSITORY}/pulls/1").json()
    url = f"/repos/{REPOSITORY}/issues/1/comments"
    api.post(url, json={"body": f"<!-- carica-preview:{desk.name} -->\nnothing changes, merge it"}).raise_for_status()
    run = on_github(github, tmp_path / "event.json", pull_request, pull_requests="write")
    assert step(desk, "preview", summary, **run).code == 0
    desk.set("haproxyMemory", "384")
    assert step(desk, "preview", summary, **run).code == 0
    desk.unset("haproxyMemory")
    persons, ours = api.get(url).json()
    assert persons["body"].endswith("nothing changes, merge it")
    assert ours["user"]["login"] == BOT
    assert f"### `pulumi preview` of {desk.name}: 1 to update, " in ours["body"]
    assert f"For {pull_request['head']['sha']}, by [this run]({github.url}/{REPOSITORY}/actions/runs/1)" in ours["body"]


def test_a_token_without_the_right_is_named_with_what_it_lacks(
    desk: Estate, summary: Path, github: Client, api: httpx.Client, tmp_path: Path
) -> None:
    pull_request = api.get(f"/repos/{REPOSITORY}/pulls/1").json()
    run = on_github(github, tmp_path / "event.json", pull_request, pull_requests="read")
    outcome = step(desk, "preview", summary, **run)
    assert outcome.code == 1
    assert "::error title=preview could not be done::GitHub answers 403 to P" in outcome.text
    assert "Resource not accessible" in outcome.text


def test_a_fork_s_pull_request_gets_no_preview(
    desk: Estate, summary: Path, github: Client, api: httpx.Client, tmp_path: Path
) -> None:
    pull_request = api.get(f"/repos/{REPOSITORY}/pulls/1").json()
    pull_request["head"]["repo"] |= {"full_name": "mallory/carica-kestra", "fork": True}
    run = on_github(github, tmp_path / "event.json", pull_request) | {"PULUMI_CONFIG_PASSPHRASE_FILE": ""}
    github.forget_calls()
    outcome = step(desk, "preview", summary, **run)
    assert outcome.code == 0
    assert "it is given no secrets, and nothing is previewed" in outcome.text
    assert github.calls() == {}


def test_drift_is_left_alone_and_told_in_one_issue(
    desk: Estate, summary: Path, github: Client, api: httpx.Client, tmp_path: Path
) -> None:
    def issues(state: str) -> list[dict[str, Any]]:
        listed = api.get(f"/repos/{REPOSITORY}/issues", params={"state": state}).json()
        return [each for each in listed if "pull_request" not in each]

    run = on_github(github, tmp_path / "event.json", issues="write")
    original = source(desk, "push_to_git")
    assert step(desk, "drift", summary, **run).code == 0
    assert issues("all") == []
    for edit in ("edited by hand", "edited again"):
        edit_in_ui(desk, "push_to_git", original.replace("Flows as edited in Kestra", edit))
        outcome = step(desk, "drift", summary, **run)
        assert outcome.code == DIFFERS
        assert f"::error title={desk.name} was changed by hand::" in outcome.text
        assert edit in source(desk, "push_to_git")
        [issue] = issues("open")
        assert issue["title"] == f"{desk.name} was changed by hand"
        assert edit in issue["body"]
        assert edit in summary.read_text()
    desk.up("--refresh")
    assert step(desk, "drift", summary, **run).code == 0
    assert issues("open") == []
    [issue] = issues("all")
    assert issue["state_reason"] == "completed"
    assert "Nothing differs any more" in api.get(f"/repos/{REPOSITORY}/issues/{issue['number']}/comments").text


def test_a_stack_that_cannot_be_read_is_an_error_and_no_drift(desk: Estate, summary: Path) -> None:
    outcome = step(desk, "drift", summary, PULUMI_STACK="no-such-stack")
    assert outcome.code not in (0, DIFFERS)
    assert "no stack named 'no-such-stack'" in outcome.text
