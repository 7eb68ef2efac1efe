"""The lab's GitHub answers as GitHub does: tokens and permissions, repositories, and what its description says."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab import github_host
from lab.github import Client
from lab.shell import run
from tests.lab.hub import Hub, hub

ORG = "/orgs/centaurin/repos"


@pytest.fixture
def api(github: Client) -> Iterator[httpx.Client]:
    """A client that may do everything; afterwards, nobody has broken the description."""
    github.reset()
    with github.api(github.token()) as client:
        yield client
    assert github.violations() == []


def new(api: httpx.Client, name: str = "carica", **settings: Any) -> dict[str, Any]:
    answer = api.post(ORG, json={"name": name, "auto_init": True, **settings})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_new_repository_has_githubs_defaults_and_a_first_commit(api: httpx.Client) -> None:
    made = new(api, description="What it is")
    shown = api.get("/repos/centaurin/carica").json()
    assert shown == made
    assert (shown["visibility"], shown["private"], shown["default_branch"]) == ("public", False, "main")
    assert (shown["allow_squash_merge"], shown["delete_branch_on_merge"]) == (True, False)
    assert "octocat" not in str(shown)
    branches = api.get("/repos/centaurin/carica/branches").json()
    assert [branch["name"] for branch in branches] == ["main"]
    readme = api.get("/repos/centaurin/carica/contents/README.md").json()["content"]
    assert base64.b64decode(readme) == b"# carica\nWhat it is\n"


def test_settings_are_changed_one_by_one_and_kept(api: httpx.Client) -> None:
    new(api)
    changed = api.patch("/repos/centaurin/carica", json={"has_wiki": False, "delete_branch_on_merge": True}).json()
    assert (changed["has_wiki"], changed["delete_branch_on_merge"], changed["has_issues"]) == (False, True, True)
    topics = api.put("/repos/centaurin/carica/topics", json={"names": ["kestra", "iac"]}).json()
    assert topics == {"names": ["kestra", "iac"]}
    assert api.get("/repos/centaurin/carica").json()["topics"] == ["kestra", "iac"]
    assert api.put("/repos/centaurin/carica/topics", json={"names": ["No Good"]}).status_code == 422


def test_a_renamed_repository_is_found_under_its_old_name(api: httpx.Client) -> None:
    made = new(api)
    api.patch("/repos/centaurin/carica", json={"name": "papaya"})
    api.follow_redirects = False
    moved = api.get("/repos/centaurin/carica/topics")
    assert moved.status_code == 301
    assert moved.headers["Location"].endswith(f"/repositories/{made['id']}/topics")
    assert api.get(f"/repositories/{made['id']}").json()["full_name"] == "centaurin/papaya"


def test_a_name_is_taken_once(api: httpx.Client) -> None:
    new(api)
    again = api.post(ORG, json={"name": "Carica"})
    assert again.status_code == 422
    assert again.json()["errors"][0]["message"] == "name already exists on this account"


def test_what_is_deleted_is_gone(api: httpx.Client) -> None:
    new(api)
    assert api.delete("/repos/centaurin/carica").status_code == 204
    assert api.get("/repos/centaurin/carica").status_code == 404


def test_an_archived_repository_is_read_only(api: httpx.Client) -> None:
    new(api)
    assert api.patch("/repos/centaurin/carica", json={"archived": True}).json()["archived"] is True
    refused = api.put("/repos/centaurin/carica/topics", json={"names": ["a"]})
    assert (refused.status_code, refused.json()["message"]) == (403, "Repository was archived so is read-only.")


def test_unknown_and_expired_tokens_are_bad_credentials(github: Client, api: httpx.Client) -> None:
    short = github.token(expires_in=0.5)
    with github.api(short) as client:
        assert client.get("/user").json()["login"] == "carica-admin"
        time.sleep(1.2)
        expired = client.get("/user")
        assert (expired.status_code, expired.json()["message"]) == (401, "Bad credentials")
    with github.api("ghp_unknown") as client:
        assert client.get("/orgs/centaurin").status_code == 401


def test_an_expiry_is_announced(github: Client, api: httpx.Client) -> None:
    with github.api(github.token(expires_in=3600)) as client:
        assert client.get("/user").headers["GitHub-Authentication-Token-Expiration"].endswith("UTC")


def test_a_missing_permission_is_named(github: Client, api: httpx.Client) -> None:
    new(api)
    with github.api(github.token({"administration": "write"})) as client:
        refused = client.get("/repos/centaurin/carica/hooks")
        assert refused.status_code == 403
        assert refused.json()["message"] == "Resource not accessible by personal access token"
        assert refused.headers["X-Accepted-GitHub-Permissions"] == "repository_hooks=read"
        assert client.get("/repos/centaurin/carica/vulnerability-alerts").status_code == 404


def test_without_contents_write_merge_settings_are_not_shown(github: Client, api: httpx.Client) -> None:
    new(api)
    with github.api(github.token({"administration": "write"})) as client:
        assert "allow_squash_merge" not in client.get("/repos/centaurin/carica").json()


def test_a_token_does_not_see_private_repositories_it_is_not_for(github: Client, api: httpx.Client) -> None:
    new(api, visibility="private")
    with github.api(github.token(repositories=["another"])) as client:
        assert client.get("/repos/centaurin/carica").status_code == 404
    with httpx.Client(base_url=f"{github.url}/api/v3", trust_env=False) as nobody:
        assert nobody.get("/repos/centaurin/carica").status_code == 404


def test_what_the_plan_does_not_have_is_refused(github: Client, api: httpx.Client) -> None:
    new(api, visibility="private")
    wanted = {"security_and_analysis": {"secret_scanning": {"status": "enabled"}}}
    refused = api.patch("/repos/centaurin/carica", json=wanted)
    assert (refused.status_code, refused.json()["message"]) == (
        422,
        "Secret scanning is not available for this repository.",
    )
    github.organization("centaurin", plan="team", secret_protection=True)
    allowed = api.patch("/repos/centaurin/carica", json=wanted).json()
    assert allowed["security_and_analysis"]["secret_scanning"] == {"status": "enabled"}


def test_a_request_that_the_description_does_not_know_is_refused_and_noted(github: Client) -> None:
    github.reset()
    with github.api(github.token()) as client:
        refused = client.post(ORG, json={"name": 3})
        assert refused.status_code == 422
        assert "For 'properties/name', 3 is not a string." in refused.json()["message"]
        missing = client.get("/repos/centaurin/carica/no-such-thing")
        assert (missing.status_code, missing.json()["message"]) == (
            501,
            "lab GitHub has no GET /repos/centaurin/carica/no-such-thing",
        )
    assert [each["where"] for each in github.violations()] == [
        "request POST /orgs/{org}/repos",
        "request GET /repos/centaurin/carica/no-such-thing",
    ]
    github.forget_violations()


def test_lists_come_in_pages(api: httpx.Client) -> None:
    for number in range(3):
        new(api, f"r{number}")
    first = api.get(ORG, params={"per_page": 2})
    assert [each["name"] for each in first.json()] == ["r0", "r1"]
    assert 'rel="next"' in first.headers["Link"]
    assert [each["name"] for each in api.get(first.links["next"]["url"]).json()] == ["r2"]


def test_what_has_not_changed_is_not_sent_again(api: httpx.Client) -> None:
    new(api)
    etag = api.get("/repos/centaurin/carica").headers["ETag"]
    assert api.get("/repos/centaurin/carica", headers={"If-None-Match": etag}).status_code == 304
    api.patch("/repos/centaurin/carica", json={"has_wiki": False})
    assert api.get("/repos/centaurin/carica", headers={"If-None-Match": etag}).status_code == 200


def test_it_misbehaves_as_often_as_asked(github: Client, api: httpx.Client) -> None:
    new(api)
    github.misbehave("rate_limit", path="/repos/", seconds=7)
    github.misbehave("error", status=502, method="GET")
    limited = api.get("/repos/centaurin/carica")
    assert limited.status_code == 403
    assert limited.json()["message"].startswith("API rate limit exceeded for user ID")
    assert limited.headers["X-RateLimit-Remaining"] == "0"
    assert 0 <= int(limited.headers["X-RateLimit-Reset"]) - time.time() <= 8
    assert api.get("/repos/centaurin/carica").status_code == 502
    assert api.get("/repos/centaurin/carica").status_code == 200
    github.misbehave("secondary_rate_limit", seconds=3)
    assert api.get("/repos/centaurin/carica").headers["Retry-After"] == "3"


def test_calls_are_counted_by_operation(github: Client, api: httpx.Client) -> None:
    new(api)
    github.forget_calls()
    api.get("/repos/centaurin/carica")
    api.get("/repos/centaurin/carica")
    assert github.calls() == {"GET /repos/{owner}/{repo}": 2}


def test_what_it_knows_outlives_a_restart_and_a_new_container(tmp_path: Path) -> None:
    with hub(tmp_path) as running:
        token = running.client.token()
        with running.client.api(token) as client:
            new(client)
            running.restart()
            assert client.get("/repos/centaurin/carica").json()["name"] == "carica"
            assert client.get("/repos/centaurin/carica/branches").json()[0]["name"] == "main"
            before = identity(running)
            github_host.start(running.name, running.network, running.port, running.connect_to)
            assert identity(running) == before
            github_host.start(running.name, running.network, running.port, "localhost:443=edge:8443")
            assert identity(running) != before
            assert client.get("/repos/centaurin/carica").json()["name"] == "carica"


def identity(running: Hub) -> str:
    return run("container", ["docker", "inspect", "--format", "{{.Id}}", running.name])
