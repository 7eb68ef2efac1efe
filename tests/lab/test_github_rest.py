"""The lab's GitHub on a repository's surroundings: Actions, environments, keys, rulesets, issues, pull requests."""

import base64
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from nacl.public import PublicKey, SealedBox

from lab import keys
from lab.github import Client
from tests.lab.hub import PROTECTED

REPO = "/repos/centaurin/carica"


@pytest.fixture
def api(github: Client) -> Iterator[httpx.Client]:
    github.reset()
    github.commit("centaurin/carica", {"README.md": "one\n"})
    with github.api(github.token()) as client:
        yield client
    assert github.violations() == []


def done(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def put_secret(api: httpx.Client, base: str, name: str, value: str) -> httpx.Response:
    key = done(api.get(f"{base}/secrets/public-key"))
    sealed = SealedBox(PublicKey(base64.b64decode(key["key"]))).encrypt(value.encode())
    body = {"key_id": key["key_id"], "encrypted_value": base64.b64encode(sealed).decode()}
    return api.put(f"{base}/secrets/{name}", json=body)


def test_a_secret_is_sealed_kept_and_never_shown(github: Client, api: httpx.Client) -> None:
    base = f"{REPO}/actions"
    assert put_secret(api, base, "DEPLOY_KEY", "hush").status_code == 201
    assert put_secret(api, base, "DEPLOY_KEY", "hush hush").status_code == 204
    shown = done(api.get(f"{base}/secrets/DEPLOY_KEY"))
    assert {*shown} == {"name", "created_at", "updated_at"}
    assert done(api.get(f"{base}/secrets"))["total_count"] == 1
    assert github.secret("centaurin/carica", "DEPLOY_KEY") == "hush hush"
    body = {"key_id": done(api.get(f"{base}/secrets/public-key"))["key_id"], "encrypted_value": "AAAA"}
    assert api.put(f"{base}/secrets/OTHER", json=body).status_code == 422
    assert put_secret(api, base, "GITHUB_X", "no").status_code == 422
    assert api.delete(f"{base}/secrets/DEPLOY_KEY").status_code == 204
    assert api.get(f"{base}/secrets/DEPLOY_KEY").status_code == 404


def test_a_variable_is_made_once_and_changed(api: httpx.Client) -> None:
    base = f"{REPO}/actions/variables"
    assert api.post(base, json={"name": "host", "value": "a"}).status_code == 201
    assert api.post(base, json={"name": "HOST", "value": "b"}).status_code == 409
    assert api.patch(f"{base}/HOST", json={"value": "c"}).status_code == 204
    assert done(api.get(f"{base}/HOST"))["value"] == "c"


def test_an_environment_has_secrets_and_branches_of_its_own(github: Client, api: httpx.Client) -> None:
    me = done(api.get("/user"))["id"]
    wanted = {
        "wait_timer": 5,
        "prevent_self_review": True,
        "reviewers": [{"type": "User", "id": me}],
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
        "can_admins_bypass": False,
    }
    base = f"{REPO}/environments/prod"
    shown = done(api.put(base, json=wanted))
    assert shown == done(api.get(base))
    assert [rule["type"] for rule in shown["protection_rules"]] == ["wait_timer", "required_reviewers", "branch_policy"]
    policy = done(api.post(f"{base}/deployment-branch-policies", json={"name": "main"}))
    assert done(api.get(f"{base}/deployment-branch-policies"))["branch_policies"] == [policy]
    team = github.team("operations")
    assert done(api.get("/orgs/centaurin/teams/operations"))["id"] == team
    asked = done(api.put(f"{REPO}/environments/stage", json={"reviewers": [{"type": "Team", "id": team}]}))
    assert asked["protection_rules"][0]["reviewers"][0]["reviewer"]["slug"] == "operations"
    unknown = api.put(f"{REPO}/environments/stage", json={"reviewers": [{"type": "User", "id": 1}]})
    assert unknown.status_code == 422
    put_secret(api, base, "PASSPHRASE", "hush")
    assert github.secret("centaurin/carica", "PASSPHRASE", "prod") == "hush"
    assert done(api.put(f"{REPO}/environments/plain", json={}))["protection_rules"] == []
    assert api.delete(base).status_code == 204
    assert api.get(base).status_code == 404


def test_which_actions_run_is_said_in_steps(api: httpx.Client) -> None:
    base = f"{REPO}/actions/permissions"
    assert done(api.get(base))["allowed_actions"] == "all"
    assert api.get(f"{base}/selected-actions").status_code == 409
    api.put(base, json={"enabled": True, "allowed_actions": "selected"})
    chosen = {"github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": ["pulumi/*"]}
    assert api.put(f"{base}/selected-actions", json=chosen).status_code == 204
    assert done(api.get(f"{base}/selected-actions")) == chosen
    body = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}
    assert api.put(f"{base}/workflow", json=body).status_code == 204
    assert done(api.get(f"{base}/workflow")) == body


def test_a_deploy_key_opens_one_repository_of_all(github: Client, api: httpx.Client) -> None:
    public = keys.ssh_key("some").public
    made = done(api.post(f"{REPO}/keys", json={"title": "host", "key": public + " a comment", "read_only": True}))
    assert (made["key"], made["read_only"], made["added_by"]) == (public, True, "carica-admin")
    github.commit("centaurin/other", {"a": "b"})
    again = api.post("/repos/centaurin/other/keys", json={"title": "x", "key": public})
    assert again.json()["errors"][0]["message"] == "key is already in use"
    assert api.post(f"{REPO}/keys", json={"title": "x", "key": "ssh-rsa nonsense"}).status_code == 422
    assert api.delete(f"{REPO}/keys/{made['id']}").status_code == 204


def test_a_ruleset_is_whole_and_its_name_is_taken_once(api: httpx.Client) -> None:
    made = done(api.post(f"{REPO}/rulesets", json=PROTECTED))
    assert made == done(api.get(f"{REPO}/rulesets/{made['id']}"))
    assert made["bypass_actors"] == PROTECTED["bypass_actors"]
    pull = next(rule for rule in made["rules"] if rule["type"] == "pull_request")
    assert pull["parameters"]["allowed_merge_methods"] == ["merge", "squash", "rebase"]
    assert api.post(f"{REPO}/rulesets", json=PROTECTED).json()["errors"] == ["Name must be unique"]
    assert "rules" not in done(api.get(f"{REPO}/rulesets"))[0]
    changed = done(api.put(f"{REPO}/rulesets/{made['id']}", json={"enforcement": "disabled"}))
    assert (changed["enforcement"], changed["name"]) == ("disabled", "main")


def test_a_private_repository_of_a_free_plan_has_no_rulesets(github: Client, api: httpx.Client) -> None:
    api.patch(REPO, json={"visibility": "private"})
    refused = api.post(f"{REPO}/rulesets", json=PROTECTED)
    assert (refused.status_code, refused.json()["message"]) == (
        403,
        "Upgrade to GitHub Pro or make this repository public to enable this feature.",
    )
    github.organization("centaurin", plan="team")
    assert api.post(f"{REPO}/rulesets", json=PROTECTED).status_code == 201


def change(github: Client, api: httpx.Client, branch: str, text: str) -> str:
    head = done(api.get(f"{REPO}/branches/main"))["commit"]["sha"]
    done(api.post(f"{REPO}/git/refs", json={"ref": f"refs/heads/{branch}", "sha": head}))
    commit = github.commit("centaurin/carica", {"README.md": text}, branch=branch).commit
    assert commit
    return commit


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1), ("rebase", 1)])
def test_a_merge_is_real_and_cleans_up(github: Client, api: httpx.Client, method: str, parents: int) -> None:
    api.patch(REPO, json={"delete_branch_on_merge": True})
    sha = change(github, api, "topic", "two\n")
    made = done(api.post(f"{REPO}/pulls", json={"title": "Two", "head": "topic", "base": "main", "body": "why"}))
    assert (made["head"]["sha"], made["mergeable"], made["changed_files"], made["commits"]) == (sha, True, 1, 1)
    assert [each["number"] for each in done(api.get(f"{REPO}/pulls"))] == [1]
    assert done(api.put(f"{REPO}/pulls/1/merge", json={"merge_method": method}))["merged"] is True
    shown = done(api.get(f"{REPO}/pulls/1"))
    assert (shown["state"], shown["merged"], shown["merged_by"]["login"]) == ("closed", True, "carica-admin")
    head = done(api.get(f"{REPO}/commits/main"))
    assert (head["sha"], len(head["parents"])) == (shown["merge_commit_sha"], parents)
    assert [each["name"] for each in done(api.get(f"{REPO}/branches"))] == ["main"]
    assert base64.b64decode(done(api.get(f"{REPO}/contents/README.md"))["content"]) == b"two\n"


def test_a_merge_waits_for_checks_and_never_runs_over_a_conflict(github: Client, api: httpx.Client) -> None:
    done(api.post(f"{REPO}/rulesets", json=PROTECTED))
    sha = change(github, api, "topic", "two\n")
    done(api.post(f"{REPO}/pulls", json={"title": "Two", "head": "topic", "base": "main"}))
    refused = api.put(f"{REPO}/pulls/1/merge", json={})
    assert refused.status_code == 405
    assert 'Required status check "check" is expected.' in refused.json()["message"]
    done(api.post(f"{REPO}/statuses/{sha}", json={"state": "success", "context": "check"}))
    assert done(api.get(f"{REPO}/commits/topic/status"))["state"] == "success"
    github.commit("centaurin/carica", {"README.md": "three\n"})
    assert api.put(f"{REPO}/pulls/1/merge", json={}).json()["message"] == "Pull Request is not mergeable"
    assert api.put(f"{REPO}/pulls/1/merge", json={"sha": "0" * 40}).status_code == 409


def test_a_pull_request_follows_its_branch(github: Client, api: httpx.Client) -> None:
    change(github, api, "topic", "two\n")
    done(api.post(f"{REPO}/pulls", json={"title": "Two", "head": "centaurin:topic", "base": "main"}))
    again = api.post(f"{REPO}/pulls", json={"title": "Two", "head": "topic", "base": "main"})
    assert again.json()["errors"][0]["message"] == "A pull request already exists for centaurin:topic."
    sha = github.commit("centaurin/carica", {"README.md": "three\n"}, branch="topic").commit
    assert done(api.get(f"{REPO}/pulls/1"))["head"]["sha"] == sha
    done(api.patch(f"{REPO}/git/refs/heads/main", json={"sha": sha}))
    assert done(api.get(f"{REPO}/pulls/1"))["merged"] is True


def test_an_issue_is_opened_commented_and_closed(api: httpx.Client) -> None:
    made = done(api.post(f"{REPO}/issues", json={"title": "Drift", "body": "See", "labels": ["drift"]}))
    comment = done(api.post(f"{REPO}/issues/{made['number']}/comments", json={"body": "Again"}))
    done(api.patch(f"{REPO}/issues/comments/{comment['id']}", json={"body": "And again"}))
    assert [each["body"] for each in done(api.get(f"{REPO}/issues/{made['number']}/comments"))] == ["And again"]
    assert [each["title"] for each in done(api.get(f"{REPO}/issues", params={"labels": "drift"}).raise_for_status())]
    found = done(api.get("/search/issues", params={"q": "repo:centaurin/carica is:issue is:open drift"}))
    assert found["total_count"] == 1
    closed = done(api.patch(f"{REPO}/issues/{made['number']}", json={"state": "closed"}))
    assert (closed["state"], closed["state_reason"]) == ("closed", "completed")
    assert done(api.get(f"{REPO}/issues")) == []


def test_a_status_is_said_in_140_characters_at_most(github: Client, api: httpx.Client) -> None:
    sha = github.commit("centaurin/carica", {"README.md": "four\n"}).commit
    refused = api.post(f"{REPO}/statuses/{sha}", json={"state": "success", "description": "x" * 141})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["message"] == "description is too long (maximum is 140 characters)"
    done(api.post(f"{REPO}/statuses/{sha}", json={"state": "success", "description": "x" * 140}))


def test_what_is_told_to_the_chat_beside_it_is_told_by_key(github: Client) -> None:
    for key, text in (("one", "first"), ("one", "second"), ("other", "third")):
        httpx.post(f"{github.url}/_lab/inbox/{key}", json={"text": text}).raise_for_status()
    assert github.told("one") == [{"text": "first"}, {"text": "second"}]
    assert github.told("none") == []


def test_a_deployment_reports_how_it_went(api: httpx.Client) -> None:
    made = done(api.post(f"{REPO}/deployments", json={"ref": "main", "environment": "prod", "required_contexts": []}))
    base = f"{REPO}/deployments/{made['id']}"
    done(api.post(f"{base}/statuses", json={"state": "in_progress"}))
    done(api.post(f"{base}/statuses", json={"state": "success", "log_url": "https://example.com/log"}))
    assert [each["state"] for each in done(api.get(f"{base}/statuses"))] == ["success", "in_progress"]
    assert done(api.get(f"{REPO}/deployments", params={"environment": "prod"}))[0]["sha"] == made["sha"]


def test_an_app_gets_a_token_of_an_hour_for_its_key(github: Client, api: httpx.Client) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    number, installation = github.app("carica", public, {"administration": "write", "metadata": "read"})

    def as_app(signer: rsa.RSAPrivateKey) -> httpx.Client:
        claims = {"iss": str(number), "iat": int(time.time()) - 10, "exp": int(time.time()) + 60}
        return github.api(jwt.encode(claims, signer, "RS256"))

    with as_app(key) as app:
        assert done(app.get("/orgs/centaurin/installation"))["id"] == installation
        given = done(app.post(f"/app/installations/{installation}/access_tokens"))
    with github.api(given["token"]) as installed:
        assert done(installed.patch(REPO, json={"has_wiki": False}))["has_wiki"] is False
        refused = installed.get(f"{REPO}/hooks")
        assert refused.json()["message"] == "Resource not accessible by integration"
    with as_app(rsa.generate_private_key(public_exponent=65537, key_size=2048)) as forged:
        assert forged.get("/app").status_code == 401


def test_the_ssh_key_of_the_host_is_published(api: httpx.Client) -> None:
    assert done(api.get("/meta"))["ssh_keys"] == [keys.ssh_key("github_ed25519").public]


def test_a_renamed_branch_takes_all_that_names_it_along(github: Client, api: httpx.Client) -> None:
    change(github, api, "topic", "two\n")
    done(api.post(f"{REPO}/pulls", json={"title": "Two", "head": "topic", "base": "main"}))
    assert done(api.post(f"{REPO}/branches/main/rename", json={"new_name": "trunk"}))["name"] == "trunk"
    assert done(api.get(REPO))["default_branch"] == "trunk"
    assert done(api.get(f"{REPO}/pulls/1"))["base"]["ref"] == "trunk"
    assert api.get(f"{REPO}/branches/main").status_code == 404
