"""The lab's GitHub delivers as GitHub does: signed, once, what a hook asked for, with a log and redeliveries."""

import hashlib
import hmac
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from lab.github import signature
from tests.lab.hub import HOOK, Hub, hub

REPO = "/repos/centaurin/carica"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with hub(tmp_path_factory.mktemp("hub")) as it:
        yield it


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
    # The listener again, under a name that its certificate does not bear.
    wrong = f"https://host.example:{github.listener.port}/hook"
    hook(api, url=wrong)
    assert log(github)[-1]["status_code"] == 0
    # There is no such name at all, so it fails in either case; what counts is that the trusted name is let in.
    hook(api, url=HOOK, insecure_ssl="1")
    assert log(github)[-1]["status_code"] == 200


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
