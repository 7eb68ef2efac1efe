"""The flows in Kestra's own engine: what starts each, what must not, and that they queue."""

import copy
import itertools
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import apps, github
from lab.github import Payload
from tests.estate import Estate, eventually

FLOWS = Path(__file__).parent.parent.parent / "flows"
COMMIT = "1" * 40
DEPLOY, KESTRA, ML = "centaurin/carica-deploy", "centaurin/carica-kestra", "centaurin/carica-ml"
WORKFLOW = "Publish image"
Change = Callable[[Payload], Any]


def started(desk: Estate, flow: str, event: str, payload: Payload) -> str | None:
    """Deliver `payload` through the edge; return the id of the execution it started, if any."""
    payload = {**payload, "unique": time.time_ns()}  # the edge answers a delivery it has seen before by itself
    delivery = github.Delivery(event, payload, desk.setting("webhookSecret"))
    answer = delivery.send(desk.desk.webhook_urls[flow], desk.desk.trust)
    if answer.status_code == 200:
        return str(answer.json()["id"])
    # Kestra's own way to say that the trigger's condition is false.
    assert answer.status_code in (204, 409), answer.text
    return None


def without(*path: str) -> Change:
    """Take a field out."""

    def change(payload: Payload) -> None:
        *parents, last = path
        for name in parents:
            payload = payload[name]
        del payload[last]

    return change


def having(value: Any, *path: str) -> Change:
    """Set a field."""

    def change(payload: Payload) -> None:
        *parents, last = path
        for name in parents:
            payload = payload[name]
        payload[last] = value

    return change


PUSHES_THAT_MUST_NOT: dict[str, Change] = {
    "another branch": having("refs/heads/feature", "ref"),
    "a branch that ends like it": having("refs/heads/x/main", "ref"),
    "a tag": having("refs/tags/v1.0.0", "ref"),
    "a tag named like the branch": having("refs/tags/main", "ref"),
    "a deleted branch": lambda payload: payload.update(deleted=True, after="0" * 40),
    "another repository": having("somebody/else", "repository", "full_name"),
    "no ref": without("ref"),
    "no commit": without("after"),
    "no repository": without("repository"),
    "no word on deletion": without("deleted"),
    "a commit that is none": having("main; rm -rf /", "after"),
    "a short commit": having("1234567", "after"),
    "the word for a commit": having("commit", "after"),
    "a commit and a line break": having(f"{COMMIT}\n", "after"),
}

RUNS_THAT_MUST_NOT: dict[str, Change] = {
    "it failed": having("failure", "workflow_run", "conclusion"),
    "it was cancelled": having("cancelled", "workflow_run", "conclusion"),
    "it has no conclusion": having(None, "workflow_run", "conclusion"),
    "it was only requested": having("requested", "action"),
    "another branch": having("feature", "workflow_run", "head_branch"),
    "another workflow": having("Tests", "workflow_run", "name"),
    "a pull request": having("pull_request", "workflow_run", "event"),
    "a fork": having("somebody/carica-ml", "workflow_run", "head_repository", "full_name"),
    "another repository": having("somebody/else", "repository", "full_name"),
    "no run": without("workflow_run"),
    "no conclusion": without("workflow_run", "conclusion"),
    "no branch": without("workflow_run", "head_branch"),
    "a tag with other characters": having("v1;id", "workflow_run", "head_branch"),
    "a branch called version": having("version", "workflow_run", "head_branch"),
    "a tag and a line break": having("v1.2.3\n", "workflow_run", "head_branch"),
}


def changed(payload: Payload, change: Change) -> Payload:
    payload = copy.deepcopy(payload)
    change(payload)
    return payload


@pytest.mark.parametrize("file", sorted(FLOWS.glob("*.yml")), ids=lambda file: file.stem)
def test_a_flow_parses_and_validates_in_kestras_engine(desk: Estate, file: Path) -> None:
    with desk.desk.api() as api:
        answer = api.post(
            "/flows/validate", content=file.read_text(), headers={"Content-Type": "application/x-yaml"}
        ).raise_for_status()
    assert [found.get("constraints") for found in answer.json()] == [None]


@pytest.mark.parametrize("file", sorted(FLOWS.glob("*.yml")), ids=lambda file: file.stem)
def test_no_host_user_or_repository_is_written_into_a_flow(file: Path) -> None:
    text = file.read_text()
    for word in ("centaurin", "carica", "deploy-host", "root@", "github.com", "localhost"):
        assert word not in text.lower().replace("carica kestra", "")


def test_a_push_to_the_default_branch_is_deployed(desk: Estate) -> None:
    from lab.demo import as_kestra, commit_to_deploy

    commit = commit_to_deploy(desk.github)
    execution = started(desk, "gh_push_deployment", "push", github.push(DEPLOY, commit))
    assert execution
    assert desk.desk.ended(execution)["state"]["current"] == "SUCCESS"
    assert commit in as_kestra("status", desk.ssh_port)


@pytest.mark.parametrize("why", PUSHES_THAT_MUST_NOT)
def test_a_push_that_must_not_be_deployed_ends_quietly(desk: Estate, why: str) -> None:
    payload = changed(github.push(DEPLOY, COMMIT), PUSHES_THAT_MUST_NOT[why])
    assert started(desk, "gh_push_deployment", "push", payload) is None


@pytest.mark.parametrize(("repository", "branch"), [(ML, "v1.2.3"), (ML, "main"), ("centaurin/carica", "v2.0.0-rc.1")])
def test_a_built_image_is_deployed(desk: Estate, repository: str, branch: str) -> None:
    from lab.demo import as_kestra

    apps.publish(repository.partition("/")[2], branch, port=desk.registry_port)
    payload = github.workflow_run(repository, WORKFLOW, branch)
    execution = started(desk, "gh_workflow_completed", "workflow_run", payload)
    assert execution
    assert desk.desk.ended(execution)["state"]["current"] == "SUCCESS"
    assert f'"{repository.partition("/")[2]}":"{branch}"' in as_kestra("status", desk.ssh_port)


@pytest.mark.parametrize("why", RUNS_THAT_MUST_NOT)
def test_a_run_whose_image_must_not_be_deployed_ends_quietly(desk: Estate, why: str) -> None:
    payload = changed(github.workflow_run(ML, WORKFLOW, "v1.2.3"), RUNS_THAT_MUST_NOT[why])
    assert started(desk, "gh_workflow_completed", "workflow_run", payload) is None


@pytest.mark.parametrize("why", PUSHES_THAT_MUST_NOT)
def test_a_push_that_must_not_be_synced_ends_quietly(desk: Estate, why: str) -> None:
    payload = changed(github.push(KESTRA, COMMIT), PUSHES_THAT_MUST_NOT[why])
    assert started(desk, "sync_from_git", "push", payload) is None


@pytest.mark.parametrize("flow", ["gh_push_deployment", "gh_workflow_completed", "sync_from_git"])
@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("ping", github.example("ping")),
        ("issues", github.example("issues")),
        ("create", github.example("create")),
        ("delete", github.example("delete")),
        ("release", github.example("release")),
        ("check_run", github.example("check_run")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pings_and_other_events_end_quietly(desk: Estate, flow: str, event: str, payload: Payload) -> None:
    assert started(desk, flow, event, payload) is None


@pytest.mark.parametrize("flow", ["gh_push_deployment", "gh_workflow_completed", "sync_from_git"])
def test_a_wrong_key_is_not_found(desk: Estate, flow: str) -> None:
    url = desk.desk.webhook_urls[flow].rpartition("/")[0] + "/" + "w" * 24
    delivery = github.Delivery("push", github.push(DEPLOY, COMMIT), desk.setting("webhookSecret"))
    assert delivery.send(url, desk.desk.trust).status_code == 404


def test_three_pushes_at_once_queue_and_none_is_lost(desk: Estate) -> None:
    from lab.demo import as_kestra, commit_to_deploy

    commits = [commit_to_deploy(desk.github) for _ in range(3)]
    url, trust, secret = desk.desk.webhook_urls["gh_push_deployment"], desk.desk.trust, desk.setting("webhookSecret")
    together = threading.Barrier(3)

    def push(commit: str) -> str:
        delivery = github.Delivery("push", github.push(DEPLOY, commit), secret)
        together.wait()
        return str(delivery.send(url, trust).raise_for_status().json()["id"])

    with ThreadPoolExecutor(3) as threads:
        executions = list(threads.map(push, commits))
    ended = [desk.desk.ended(execution) for execution in executions]
    assert [each["state"]["current"] for each in ended] == ["SUCCESS"] * 3
    queued = [each for each in ended if "QUEUED" in [past["state"] for past in each["state"]["histories"]]]
    assert len(queued) >= 2
    ended.sort(key=lambda each: _span(each["taskRunList"][0]))
    spans = [_span(each["taskRunList"][0]) for each in ended]
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))
    # Whichever came first: the branch's newest stays, and one that is behind it says so.
    assert json.loads(as_kestra("status", desk.ssh_port))["commit"] == commits[-1]


def _span(task: dict[str, Any]) -> tuple[str, str]:
    """When a task ran, from and to."""
    histories = task["state"]["histories"]
    return next(each["date"] for each in histories if each["state"] == "RUNNING"), histories[-1]["date"]


@pytest.mark.parametrize("branch", ["kestra/edits", "x y", "../main", "-f", "main:main", "a" * 62])
def test_push_to_git_takes_one_plain_word_only(desk: Estate, branch: str) -> None:
    with desk.desk.api() as api:
        answer = api.post("/executions/prod/push_to_git", files={"branch": (None, branch)})
    assert answer.status_code == 422, answer.text


def test_push_to_git_can_name_no_branch_outside_kestra() -> None:
    flow = yaml.safe_load((FLOWS / "push_to_git.yml").read_text())
    assert [task["branch"] for task in flow["tasks"]] == ["kestra/{{ inputs.branch }}"]


def test_a_host_with_another_key_is_not_trusted(desk: Estate) -> None:
    """Kestra's log says so, and nothing is run there."""
    attempts = next(each for each in yaml.safe_load((FLOWS / "deploy.yml").read_text())["tasks"] if "tasks" in each)
    (task,) = attempts["tasks"]
    del task["allowFailure"], task["allowWarning"]
    task |= {"host": "127.0.0.1", "port": "22", "username": "deploy", "commands": ["status"]}
    flow = {"id": "another_host", "namespace": "prod", "tasks": [task]}
    with desk.desk.api() as api:
        yaml_type = {"Content-Type": "application/x-yaml"}
        api.post("/flows", content=yaml.safe_dump(flow), headers=yaml_type).raise_for_status()
        execution = api.post("/executions/prod/another_host").raise_for_status().json()["id"]
    assert desk.desk.ended(execution)["state"]["current"] == "FAILED"
    with desk.desk.api() as api:
        api.delete("/flows/prod/another_host").raise_for_status()


def test_secrets_are_not_in_the_log_of_a_deployment(desk: Estate) -> None:
    from lab.demo import commit_to_deploy

    execution = started(desk, "gh_push_deployment", "push", github.push(DEPLOY, commit_to_deploy(desk.github)))
    assert execution
    desk.desk.ended(execution)
    log = eventually(lambda: "\n".join(desk.desk.log(execution)))
    assert "carica-update: started" in log
    for key in ("webhookKey", "githubToken", "kestraStatusToken", "notifyUrl", "kestraSshKey"):
        assert desk.setting(key)[:60] not in log
