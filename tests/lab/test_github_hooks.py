"""The lab's GitHub delivers as GitHub does: signed, once, what a hook asked for, with a log and redeliveries."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from jsonschema import Draft7Validator

from lab import npm
from lab.cache import cached
from lab.github import signature
from tests.lab.hub import HOOK, OTHER, Hub

REPO = "/repos/centaurin/carica"
SCHEMAS = "@octokit/webhooks-schemas@7.6.1"
"""npm package of JSON schemas of what webhooks send."""
EVENTS = (
    *("create", "delete", "deployment", "deployment_status", "issue_comment", "issues", "pull_request", "push"),
    *("status", "workflow_run"),
)


@pytest.fixture(scope="module")
def schemas() -> Any:
    def fetch(into: Path) -> None:
        npm.install("webhooks' schemas", SCHEMAS, into)

    folder = cached("webhook-schemas", (SCHEMAS,), fetch) / "node_modules/@octokit/webhooks-schemas"
    return json.loads((folder / "schema.json").read_text())


@pytest.fixture
def github(running: Hub) -> Iterator[Hub]:
    """An empty one with a repository, and a listener that has heard nothing; nobody breaks the description."""
    running.client.reset()
    running.client.commit("centaurin/carica", {"README.md": "one\n"})
    running.listener.received.clear()
    running.listener.status = 200
    yield running
    assert running.client.violations() == []


@pytest.fixture
def api(github: Hub) -> Iterator[httpx.Client]:
    with github.client.api(github.client.token()) as client:
        yield client


def hook(api: httpx.Client, events: tuple[str, ...] = ("push",), active: bool = True, **config: str) -> dict[str, Any]:
    config = {"url": HOOK, "content_type": "json", "secret": "hush", **config}
    answer = api.post(f"{REPO}/hooks", json={"name": "web", "events": events, "active": active, "config": config})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def log(github: Hub) -> list[dict[str, Any]]:
    return github.client.deliveries("centaurin/carica")


def test_a_new_hook_is_pinged_and_its_secret_is_never_shown(github: Hub, api: httpx.Client) -> None:
    made = hook(api)
    assert made["config"]["secret"] == "********"
    assert api.get(f"{REPO}/hooks/{made['id']}").json()["config"]["secret"] == "********"
    (sent,) = log(github)
    assert (sent["event"], sent["status_code"], sent["status"]) == ("ping", 200, "OK")
    (heard,) = github.listener.received
    assert heard.payload["hook_id"] == made["id"]
    assert api.get(f"{REPO}/hooks/{made['id']}").json()["last_response"] == {
        "code": 200,
        "status": "active",
        "message": "OK",
    }


def test_a_delivery_is_signed_and_names_itself_as_githubs_do(github: Hub, api: httpx.Client) -> None:
    made = hook(api)
    log(github)
    (heard,) = github.listener.received
    assert heard.headers["X-Hub-Signature-256"] == signature("hush", heard.body)
    assert heard.headers["X-Hub-Signature"] == "sha1=" + hmac.new(b"hush", heard.body, hashlib.sha1).hexdigest()
    assert heard.headers["Host"] == "edge.example:8443"
    assert heard.headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert heard.headers["X-GitHub-Hook-ID"] == str(made["id"])
    assert heard.headers["Content-Type"] == "application/json"


def test_a_hook_of_forms_gets_a_form_that_is_signed_as_a_whole(github: Hub, api: httpx.Client) -> None:
    hook(api, content_type="form")
    log(github)
    (heard,) = github.listener.received
    assert "zen" in parse_qs(heard.body.decode())["payload"][0]
    assert heard.headers["X-Hub-Signature-256"] == signature("hush", heard.body)


def test_only_active_hooks_hear_and_only_what_they_asked_for(github: Hub, api: httpx.Client) -> None:
    wanting = hook(api)
    hook(api, ("push",), active=False, url=HOOK + "/inactive")
    runs = hook(api, ("workflow_run",), url=HOOK + "/runs")
    log(github)
    made = github.client.commit("centaurin/carica", {"README.md": "two\n"})
    github.client.workflow_run("centaurin/carica", "Build", "main", conclusion="failure")
    heard = [(each["hook_id"], each["event"]) for each in log(github) if each["event"] != "ping"]
    assert sorted(heard) == sorted([(wanting["id"], "push"), (runs["id"], "workflow_run")])
    push = next(each for each in github.listener.received if each.headers["X-GitHub-Event"] == "push").payload
    assert (push["ref"], push["after"], push["repository"]["full_name"]) == (
        "refs/heads/main",
        made.commit,
        "centaurin/carica",
    )
    assert push["head_commit"]["modified"] == ["README.md"]
    run = next(each for each in github.listener.received if each.headers["X-GitHub-Event"] == "workflow_run").payload
    assert (run["action"], run["workflow_run"]["conclusion"], run["workflow_run"]["name"]) == (
        "completed",
        "failure",
        "Build",
    )
    assert "Codertocat" not in str(push) + str(run)


def test_branches_and_tags_made_and_deleted_over_the_api_are_pushes_too(github: Hub, api: httpx.Client) -> None:
    hook(api, ("push", "create", "delete"))
    sha = api.get(f"{REPO}/branches/main").json()["commit"]["sha"]
    assert api.post(f"{REPO}/git/refs", json={"ref": "refs/heads/topic", "sha": sha}).status_code == 201
    assert api.delete(f"{REPO}/git/refs/heads/topic").status_code == 204
    events = [(each["event"], each["request"]["payload"].get("deleted")) for each in log(github)]
    assert sorted(events[1:], key=str) == sorted(
        [("create", None), ("push", False), ("delete", None), ("push", True)], key=str
    )


def test_a_failed_delivery_is_not_tried_again_until_somebody_asks(github: Hub, api: httpx.Client) -> None:
    made = hook(api)
    log(github)
    github.listener.status = 503
    github.client.commit("centaurin/carica", {"README.md": "three\n"})
    failed = log(github)[-1]
    assert (failed["status_code"], failed["status"]) == (503, "Invalid HTTP Response: 503")
    assert len(github.listener.received) == 2

    github.listener.status = 200
    deliveries = f"{REPO}/hooks/{made['id']}/deliveries"
    api.patch(f"{REPO}/hooks/{made['id']}/config", json={"secret": "new"})
    assert api.post(f"{deliveries}/{failed['id']}/attempts").status_code == 202
    log(github)
    again = api.get(deliveries).json()[0]
    assert (again["redelivery"], again["guid"], again["status_code"]) == (True, failed["guid"], 200)
    assert github.listener.received[-1].body == github.listener.received[-2].body
    assert github.listener.received[-1].headers["X-Hub-Signature-256"] == signature(
        "new", github.listener.received[-1].body
    )
    shown = api.get(f"{deliveries}/{again['id']}").json()
    assert shown["request"]["payload"]["ref"] == "refs/heads/main"
    assert shown["response"]["payload"] == "ok"


def test_ten_seconds_are_all_a_receiver_gets(github: Hub, api: httpx.Client) -> None:
    github.listener.delay = threading.Event()
    hook(api)
    try:
        (sent,) = log(github)
    finally:
        github.listener.delay.set()
        github.listener.delay = None
    assert (sent["status_code"], sent["status"]) == (0, "timed out")
    assert 9.5 <= sent["duration"] <= 12


def test_a_certificate_is_verified_unless_the_hook_says_otherwise(github: Hub, api: httpx.Client) -> None:
    hook(api, url=OTHER)
    assert log(github)[-1]["status"] == "peer certificate cannot be authenticated"
    assert github.listener.received == []
    hook(api, url=OTHER, insecure_ssl="1")
    assert log(github)[-1]["status_code"] == 200


def test_a_receiver_that_is_not_there_is_no_answer(github: Hub, api: httpx.Client) -> None:
    hook(api, url="https://nowhere.example/")
    (sent,) = log(github)
    assert (sent["status_code"], sent["status"]) == (0, "failed to connect to host")


def test_a_hook_that_exists_or_asks_for_the_unknown_is_refused(github: Hub, api: httpx.Client) -> None:
    hook(api)
    body = {"events": ["push"], "config": {"url": HOOK, "content_type": "json"}}
    again = api.post(f"{REPO}/hooks", json=body)
    assert (again.status_code, again.json()["errors"][0]["message"]) == (
        422,
        "Hook already exists on this repository",
    )
    assert api.post(f"{REPO}/hooks", json=body | {"events": ["no_such_event"]}).status_code == 422
    log(github)


def test_a_configuration_without_the_secret_removes_it(github: Hub, api: httpx.Client) -> None:
    made = hook(api)
    config = {"url": HOOK, "content_type": "json"}
    assert "secret" not in api.patch(f"{REPO}/hooks/{made['id']}", json={"config": config}).json()["config"]
    log(github)
    api.post(f"{REPO}/hooks/{made['id']}/pings")
    log(github)
    assert "X-Hub-Signature-256" not in github.listener.received[-1].headers


def test_every_payload_has_the_shape_that_githubs_have(github: Hub, api: httpx.Client, schemas: Any) -> None:
    hook(api, EVENTS)
    main = api.get(f"{REPO}/branches/main").json()["commit"]["sha"]
    api.post(f"{REPO}/git/refs", json={"ref": "refs/heads/topic", "sha": main})
    sha = github.client.commit("centaurin/carica", {"README.md": "two\n"}, branch="topic").commit
    api.post(f"{REPO}/pulls", json={"title": "Two", "head": "topic", "base": "main"})
    github.client.commit("centaurin/carica", {"README.md": "three\n"}, branch="topic")
    api.post(f"{REPO}/statuses/{sha}", json={"state": "success", "context": "check"})
    api.post(f"{REPO}/issues/1/comments", json={"body": "Hm"})
    api.put(f"{REPO}/pulls/1/merge", json={})
    api.delete(f"{REPO}/git/refs/heads/topic")
    issue = api.post(f"{REPO}/issues", json={"title": "Drift", "labels": ["drift"]}).json()
    api.patch(f"{REPO}/issues/{issue['number']}", json={"state": "closed"})
    deployment = api.post(f"{REPO}/deployments", json={"ref": "main", "required_contexts": []}).json()
    api.post(f"{REPO}/deployments/{deployment['id']}/statuses", json={"state": "success", "environment_url": HOOK})
    github.client.workflow_run("centaurin/carica", "Build", "main")
    sent = log(github)
    assert {each["event"] for each in sent} == {*EVENTS, "ping"}
    wrong = []
    for each in sent:
        name = f"{each['event']}$event" if f"{each['event']}$event" in schemas["definitions"] else None
        name = name or (f"{each['event']}${each['action']}" if each["action"] else f"{each['event']}$event")
        validator = Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": schemas["definitions"]})
        wrong += [
            f"{name} {e.json_path}: {e.message[-200:]}" for e in validator.iter_errors(each["request"]["payload"])
        ]
    assert wrong == [], "\n".join(wrong)
