"""Repositories as the stack declares them, on the lab's GitHub with the real plugin: without the rest of the desk."""

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from nacl.public import PublicKey, SealedBox
from pydantic import SecretStr

from components.settings.values import public_half
from lab.github import Client
from lab.github_host import ADMINISTERS
from tests.lab.hub import hub
from tests.repositories import TOKEN, Stack, empty_stack
from tests.unit.program import SECRETS
from tests.unit.valid import REPOSITORIES, app_key, private_key, repositories, values

NAMES = [each["name"] for each in REPOSITORIES]


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with hub(tmp_path_factory.mktemp("hub")) as running:
        yield running.client


@pytest.fixture
def estate(tmp_path: Path, github: Client) -> Iterator[Stack]:
    """Nothing is declared yet, and GitHub is empty."""
    made = empty_stack(tmp_path, github)
    yield made
    assert github.violations() == []


def test_four_repositories_are_made_and_stay_as_they_are(estate: Stack) -> None:
    estate.up()
    estate.expect_no_changes()
    estate.refresh_finds_nothing()
    known = {name: estate.known(name) for name in NAMES}
    assert [hook["secret"] for name in NAMES for hook in known[name]["hooks"].values()] == ["s" * 40] * 4
    assert all(known[name]["vulnerability_alerts"] for name in NAMES)
    for environment in ("prod", "preview"):
        secret = estate.github.secret("centaurin/carica-kestra", "PULUMI_CONFIG_PASSPHRASE", environment)
        assert secret == "p" * 40
    rules = {rule["type"] for rule in estate.rulesets("carica-ml")[0]["rules"]}
    assert rules == {"deletion", "non_fast_forward", "pull_request"}


def test_no_secret_is_in_the_state_or_the_output(estate: Stack) -> None:
    shown = estate.up("--diff")
    _, state = estate.pulumi("stack", "export")
    _, preview = estate.pulumi("preview", "--diff")
    _, refreshed = estate.pulumi("refresh", "--yes", "--skip-preview", "--diff")
    _, again = estate.pulumi("stack", "export")
    for secret in [*SECRETS, private_key().splitlines()[3]]:
        for text in (shown, state, preview, refreshed, again):
            assert secret not in text


def test_an_up_without_changes_makes_few_calls(estate: Stack) -> None:
    estate.up()
    estate.github.forget_calls()
    estate.up()
    calls = estate.github.calls()
    # The owner, each repository, what the log-in may do, CI's two environments; and the plugin's.
    assert sum(calls.values()) <= 1 + 4 + 4 + 5 + 1
    assert not any(call.split()[0] != "GET" for call in calls)


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "description": ({"description": "The models"}, {"description": "The models"}),
    "homepage": ({"homepage": "https://carica.example"}, {"homepage": "https://carica.example"}),
    "topics": ({"topics": ["b", "a"]}, {"topics": ["a", "b"]}),
    "issues": ({"issues": False}, {"has_issues": False}),
    "projects": ({"projects": True}, {"has_projects": True}),
    "wiki": ({"wiki": True}, {"has_wiki": True}),
    "merge commits": (
        {"merge": {"commit": True, "squash": False}},
        {"allow_merge_commit": True, "allow_squash_merge": False},
    ),
    "rebase": ({"merge": {"rebase": True}}, {"allow_rebase_merge": True}),
    "branches stay": ({"merge": {"deleteBranch": False}}, {"delete_branch_on_merge": False}),
    "auto-merge": (
        {"merge": {"auto": True, "update": False}},
        {"allow_auto_merge": True, "allow_update_branch": False},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_setting_changes_in_place_and_back(estate: Stack, what: str) -> None:
    change, expected = CHANGES[what]

    def shown() -> dict[str, Any]:
        with estate.github.api(TOKEN) as api:
            body = api.get("/repos/centaurin/carica-ml").raise_for_status().json()
        return {key: sorted(body[key]) if key == "topics" else body[key] for key in expected}

    estate.up()
    before, number = shown(), estate.known("carica-ml")["id"]
    assert before != expected
    estate.choose(repositories=repositories("carica-ml", **change))
    estate.up()
    assert shown() == expected
    estate.expect_no_changes()
    estate.refresh_finds_nothing()
    estate.choose(repositories=REPOSITORIES)
    estate.up()
    assert (shown(), estate.known("carica-ml")["id"]) == (before, number)
    estate.expect_no_changes()


def test_a_repository_becomes_private_where_the_plan_lets_it_keep_its_ruleset(estate: Stack) -> None:
    estate.github.organization("centaurin", plan="team")
    estate.choose(githubPlan="team")
    estate.up()
    estate.choose(repositories=repositories("carica-ml", visibility="private"))
    estate.up()
    assert estate.known("carica-ml")["settings"]["visibility"] == "private"
    estate.expect_no_changes()
    estate.refresh_finds_nothing()
    estate.choose(repositories=REPOSITORIES)
    estate.up()
    estate.expect_no_changes()


def test_what_guards_a_repository_changes_in_place(estate: Stack) -> None:
    estate.up()
    number = estate.rulesets("carica-ml")[0]["id"]
    estate.choose(
        repositories=repositories(
            "carica-ml",
            approvals=2,
            requiredChecks=["Build", "Test"],
            deployKeysBypass=True,
            actions=["docker/*"],
            pinnedActions=True,
            vulnerabilityAlerts=False,
            secretScanning=False,
        )
    )
    estate.up()
    (ruleset,) = estate.rulesets("carica-ml")
    rules = {rule["type"]: rule.get("parameters") for rule in ruleset["rules"]}
    assert ruleset["id"] == number
    assert rules["pull_request"]["required_approving_review_count"] == 2
    assert {each["context"] for each in rules["required_status_checks"]["required_status_checks"]} == {"Build", "Test"}
    assert [each["actor_type"] for each in ruleset["bypass_actors"]] == ["DeployKey"]
    with estate.github.api(TOKEN) as api:
        allowed = api.get("/repos/centaurin/carica-ml/actions/permissions/selected-actions").json()
        assert api.get("/repos/centaurin/carica-ml/actions/permissions").json()["sha_pinning_required"] is True
        analysis = api.get("/repos/centaurin/carica-ml").json()["security_and_analysis"]
    assert allowed["patterns_allowed"] == ["docker/*"]
    assert analysis["secret_scanning"]["status"] == "disabled"
    assert estate.known("carica-ml")["vulnerability_alerts"] is False
    estate.expect_no_changes()
    estate.refresh_finds_nothing()
    estate.choose(repositories=repositories("carica-ml", ruleset=False))
    estate.up()
    assert estate.rulesets("carica-ml") == []
    estate.choose(repositories=REPOSITORIES)
    estate.up()
    estate.expect_no_changes()
    with estate.github.api(TOKEN) as api:
        allowed = api.get("/repos/centaurin/carica-ml/actions/permissions/selected-actions").json()
    assert "docker/*" not in allowed["patterns_allowed"]


def test_a_new_key_and_secret_move_the_hooks_in_place(estate: Stack) -> None:
    estate.up()
    before = {name: [hook["id"] for hook in estate.hooks(name)] for name in NAMES}
    estate.choose(webhookKey="n" * 24, webhookSecret="n" * 40)
    shown = estate.up("--diff")
    assert "n" * 24 not in shown
    assert {name: [hook["id"] for hook in estate.hooks(name)] for name in NAMES} == before
    for name in NAMES:
        for hook in estate.hooks(name):
            assert hook["url"].endswith("/" + "n" * 24)
            assert hook["secret"] == "n" * 40
    estate.expect_no_changes()


def test_a_repository_is_renamed_and_stays_the_same(estate: Stack) -> None:
    estate.up()
    before = estate.known("carica-kestra")
    renamed = repositories("carica-kestra", name="desk", formerly="carica-kestra")
    estate.choose(repositories=renamed)
    estate.up()
    after = estate.known("desk")
    assert (after["id"], after["vulnerability_alerts"]) == (before["id"], True)
    assert [hook["secret"] for hook in estate.hooks("desk")] == ["s" * 40]
    assert len(estate.rulesets("desk")) == 1
    assert estate.github.secret("centaurin/desk", "PULUMI_CONFIG_PASSPHRASE", "prod") == "p" * 40
    estate.expect_no_changes()
    estate.refresh_finds_nothing()
    for each in renamed:
        each.pop("formerly", None)
    estate.choose(repositories=renamed)
    estate.expect_no_changes()


def test_the_repository_with_the_deploy_key_is_renamed(estate: Stack) -> None:
    estate.up()
    host = json.loads(values()["deployHosts"])[0] | {"repository": "git@github.com:centaurin/server.git"}
    estate.choose(
        repositories=repositories("carica-deploy", name="server", formerly="carica-deploy"), deployHosts=[host]
    )
    estate.up()
    assert [(key["title"], key["read_only"]) for key in estate.keys("server")] == [("deploy host", True)]
    estate.expect_no_changes()


def test_a_rename_that_was_broken_off_is_completed_by_the_next(estate: Stack) -> None:
    estate.up()
    before = estate.known("carica-kestra")["id"]
    estate.choose(repositories=repositories("carica-kestra", name="desk", formerly="carica-kestra"))
    estate.github.misbehave("error", calls=100, method="POST", path="/hooks$", status=422)
    estate.failing_up("--skip-preview")
    estate.github.behave()
    estate.up()
    estate.expect_no_changes()
    estate.refresh_finds_nothing()
    assert estate.known("desk")["id"] == before
    assert len(estate.hooks("desk")) == 1
    assert estate.github.secret("centaurin/desk", "PULUMI_CONFIG_PASSPHRASE", "prod") == "p" * 40


def test_an_adopted_repository_is_renamed_with_both_words_in_the_list(estate: Stack) -> None:
    by_hand(estate.github)
    estate.choose(repositories=adopted())
    estate.up()
    before = estate.known("carica-kestra")["id"]
    renamed = [
        {**each, "name": "desk", "formerly": "carica-kestra"} if each["name"] == "carica-kestra" else each
        for each in adopted()
    ]
    estate.choose(repositories=renamed)
    estate.up()
    assert estate.known("desk")["id"] == before
    estate.expect_no_changes()
    estate.up()


def test_the_default_branch_is_renamed_with_its_rules(estate: Stack) -> None:
    estate.up()
    estate.choose(repositories=repositories("carica-ml", hooks=None, defaultBranch="trunk"))
    estate.up()
    assert "refs/heads/trunk" in estate.known("carica-ml")["refs"]
    assert estate.known("carica-ml")["settings"]["default_branch"] == "trunk"
    assert len(estate.rulesets("carica-ml")) == 1
    estate.expect_no_changes()


def test_a_new_deploy_key_is_let_in_before_the_old_one_goes(estate: Stack) -> None:
    estate.up()
    estate.choose(deployGitKey=private_key.__wrapped__())
    estate.github.misbehave("error", calls=100, method="POST", path="/keys$", status=422)
    estate.failing_up("--skip-preview")
    assert len(estate.keys("carica-deploy")) == 1
    estate.github.behave()
    estate.up()
    assert len(estate.keys("carica-deploy")) == 1
    estate.expect_no_changes()


# --- CI's environments ------------------------------------------------------------------------------------------------


def test_reviewers_come_and_go_and_so_does_the_environment_for_previews(estate: Stack) -> None:
    estate.github.user("octocat")
    estate.github.team("ops")
    estate.github.token({**ADMINISTERS, "members": "read"}, token=TOKEN)
    estate.up()
    ci = {"reviewers": ["octocat", "centaurin/ops"], "preview": False}
    estate.choose(repositories=repositories("carica-kestra", ci=ci))
    estate.up()
    assert estate.reviewers("carica-kestra", "prod") == {"User", "Team"}
    with estate.github.api(TOKEN) as api:
        assert api.get("/repos/centaurin/carica-kestra/environments").json()["total_count"] == 1
    estate.expect_no_changes()
    estate.choose(repositories=REPOSITORIES)
    estate.up()
    assert estate.reviewers("carica-kestra", "prod") == set()
    estate.expect_no_changes()


def test_what_somebody_changed_in_an_environment_is_warned_of_and_a_secret_is_set_again(estate: Stack) -> None:
    estate.github.user("octocat")
    estate.choose(repositories=repositories("carica-kestra", ci={"reviewers": ["octocat"]}))
    shown = estate.up()
    assert "changed by hand" not in shown + estate.up()
    at = "/repos/centaurin/carica-kestra/environments/prod"
    with estate.github.api(TOKEN) as api:
        branches = {"protected_branches": False, "custom_branch_policies": True}
        api.put(at, json={"reviewers": None, "deployment_branch_policy": branches}).raise_for_status()
        api.post(f"{at}/deployment-branch-policies", json={"name": "release/*"}).raise_for_status()
        time.sleep(1)  # GitHub tells when a secret was set to the second
        key = api.get(f"{at}/secrets/public-key").json()
        box = SealedBox(PublicKey(base64.b64decode(key["key"])))
        theirs = {"encrypted_value": base64.b64encode(box.encrypt(b"theirs")).decode(), "key_id": key["key_id"]}
        api.put(f"{at}/secrets/PULUMI_CONFIG_PASSPHRASE", json=theirs).raise_for_status()
    _, shown = estate.pulumi("preview")
    assert "who approves deployments to prod of carica-kestra was changed by hand" in shown
    assert "release/* may deploy as well" in shown
    again = re.search(r"pulumi up --replace '(\S+)'", shown)
    assert again
    estate.up("--replace", again[1])
    assert estate.github.secret("centaurin/carica-kestra", "PULUMI_CONFIG_PASSPHRASE", "prod") == "p" * 40


# --- adoption ---------------------------------------------------------------------------------------------------------


def by_hand(github: Client) -> dict[str, int]:
    """Make the four repositories as somebody did in the browser, with hooks; return the hooks' ids."""
    numbers = {}
    for each in REPOSITORIES:
        name, flow = each["name"], next(iter(each["hooks"]))
        made = github.commit(
            f"centaurin/{name}",
            {"README.md": name},
            settings={"visibility": "public", "description": f"{name} by hand", "has_wiki": True},
        )
        assert made.commit
        with github.api(TOKEN) as api:
            url = f"http://old.example.com/api/v1/executions/webhook/prod/{flow}/an-old-key"
            hook = {"name": "web", "events": ["*"], "config": {"url": url, "content_type": "form", "insecure_ssl": "1"}}
            numbers[name] = api.post(f"/repos/centaurin/{name}/hooks", json=hook).raise_for_status().json()["id"]
    return numbers


def adopted() -> list[dict[str, Any]]:
    return [{**each, "adopt": True} for each in REPOSITORIES]


def test_what_exists_is_refused_before_anything_is_changed_unless_it_is_to_be_adopted(
    estate: Stack,
) -> None:
    by_hand(estate.github)
    estate.github.forget_calls()
    said = estate.failing_up("--skip-preview")
    assert "the stack's way to GitHub has 4 problems; nothing was changed" in said
    assert "carica-kestra:repositories[0].adopt is not set, and centaurin/carica exists already" in said
    assert not any(call.split()[0] != "GET" for call in estate.github.calls())


def test_four_repositories_with_hooks_are_adopted_in_one_up(estate: Stack) -> None:
    numbers = by_hand(estate.github)
    before = {name: estate.known(name) for name in NAMES}
    estate.choose(repositories=adopted())
    estate.up()
    estate.expect_no_changes()
    estate.refresh_finds_nothing()
    for name in NAMES:
        known = estate.known(name)
        assert known["id"] == before[name]["id"]
        assert known["refs"] == before[name]["refs"]
        (hook,) = known["hooks"].values()
        assert hook["id"] == numbers[name]
        assert hook["url"].startswith("https://localhost:8443/")
        assert (hook["secret"], hook["content_type"], hook["insecure_ssl"]) == ("s" * 40, "json", "0")
        assert not known["settings"]["description"]
        assert known["settings"]["has_wiki"] is False
    # The word may stay, or go.
    estate.up()
    estate.choose(repositories=REPOSITORIES)
    estate.expect_no_changes()


def test_a_stack_that_lost_its_state_adopts_all_that_it_had_made(estate: Stack) -> None:
    estate.choose(ciVariables={"AWS_REGION": "eu-central-1"})
    estate.up()
    before = {name: estate.known(name) for name in NAMES}
    estate.pulumi("state", "delete", "--all", "--yes", "--force")
    for word in estate.resources():
        assert "carica" not in word
    estate.choose(repositories=adopted())
    estate.up()
    estate.expect_no_changes()
    for name in NAMES:
        known = estate.known(name)
        assert known["id"] == before[name]["id"]
        assert len(known["hooks"]) == 1
        assert len(estate.rulesets(name)) == 1


def test_an_adoption_that_was_broken_off_is_completed_by_the_next(estate: Stack) -> None:
    numbers = by_hand(estate.github)
    estate.choose(repositories=adopted())
    estate.github.misbehave("error", calls=100, method="PATCH", path="/hooks/", status=422)
    estate.failing_up("--skip-preview")
    estate.github.behave()
    estate.up()
    estate.expect_no_changes()
    for name in NAMES:
        assert [hook["id"] for hook in estate.hooks(name)] == [numbers[name]]


def test_an_adoption_that_broke_off_at_an_environment_is_completed_by_the_next(estate: Stack) -> None:
    estate.up()
    estate.pulumi("state", "delete", "--all", "--yes", "--force")
    estate.choose(repositories=adopted())
    estate.github.misbehave("error", calls=100, path="/variables/|/deployment-branch-policies/", status=422)
    estate.failing_up("--skip-preview")
    estate.github.behave()
    estate.up()
    estate.expect_no_changes()


def test_a_deploy_key_of_another_title_is_adopted(estate: Stack) -> None:
    by_hand(estate.github)
    public = public_half(SecretStr(private_key()))
    with estate.github.api(TOKEN) as api:
        body = {"title": "the server", "key": public, "read_only": True}
        number = api.post("/repos/centaurin/carica-deploy/keys", json=body).raise_for_status().json()["id"]
    estate.choose(repositories=adopted())
    estate.up()
    assert [each["id"] for each in estate.keys("carica-deploy")] == [number]
    estate.expect_no_changes()
    estate.refresh_finds_nothing()


# --- letting go -------------------------------------------------------------------------------------------------------


def test_a_repository_that_is_taken_off_the_list_is_refused_then_let_go_and_never_deleted(
    estate: Stack,
) -> None:
    estate.up()
    before = {name: estate.known(name) for name in NAMES}
    flows = ["deploy", "gh_push_deployment", "gh_workflow_completed", "push_to_git"]
    estate.choose(repositories=REPOSITORIES[:3], flows=flows, ciSecrets=None)
    said = estate.failing_up()
    assert "protected" in said
    unprotect = re.search(r"pulumi state unprotect '(\S+)'", said)
    assert unprotect
    assert estate.known("carica-kestra") == before["carica-kestra"]

    code, shown = estate.pulumi("state", "unprotect", unprotect[1], "--yes")
    assert code == 0, shown
    estate.up()
    after = estate.known("carica-kestra")
    # Its content and what guards it stay; what let others in is gone.
    assert after["id"] == before["carica-kestra"]["id"]
    assert after["refs"] == before["carica-kestra"]["refs"]
    assert after["vulnerability_alerts"] is True
    assert len(estate.rulesets("carica-kestra")) == 1
    with estate.github.api(TOKEN) as api:
        actions = api.get("/repos/centaurin/carica-kestra/actions/permissions").json()
        environments = api.get("/repos/centaurin/carica-kestra/environments").json()
    assert actions["allowed_actions"] == "selected"
    assert environments["total_count"] == 0
    assert after["hooks"] == {}
    estate.expect_no_changes()


def test_destroy_is_refused_and_with_force_leaves_the_repositories(estate: Stack) -> None:
    estate.up()
    code, shown = estate.pulumi("destroy", "--yes")
    assert code != 0
    assert "protected" in shown
    assert len(estate.hooks("carica")) == 1
    code, shown = estate.pulumi("destroy", "--yes", "--skip-preview", "--ignore-protect")
    assert code == 0, shown
    for name in NAMES:
        assert estate.known(name)["refs"]
        assert estate.hooks(name) == []


def test_a_flow_that_is_no_longer_hooked_loses_its_hook_and_nothing_else(estate: Stack) -> None:
    estate.up()
    estate.choose(repositories=repositories("carica-ml", hooks=None))
    estate.up()
    assert estate.hooks("carica-ml") == []
    assert len(estate.hooks("carica")) == 1
    estate.expect_no_changes()


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_what_somebody_changed_by_hand_is_shown_by_refresh_and_put_back(estate: Stack) -> None:
    estate.up()
    with estate.github.api(TOKEN) as api:
        api.patch("/repos/centaurin/carica-ml", json={"has_wiki": True}).raise_for_status()
        hook = api.get("/repos/centaurin/carica-ml/hooks").json()[0]["id"]
        api.patch(
            f"/repos/centaurin/carica-ml/hooks/{hook}", json={"active": False, "events": ["push"]}
        ).raise_for_status()
        gone = api.get("/repos/centaurin/carica/hooks").json()[0]["id"]
        api.delete(f"/repos/centaurin/carica/hooks/{gone}").raise_for_status()
        ruleset = api.get("/repos/centaurin/carica-ml/rulesets").json()[0]["id"]
        api.put(f"/repos/centaurin/carica-ml/rulesets/{ruleset}", json={"enforcement": "disabled"}).raise_for_status()
        api.put(
            "/repos/centaurin/carica-ml/actions/permissions/workflow", json={"default_workflow_permissions": "write"}
        )
    code, shown = estate.pulumi("refresh", "--preview-only", "--diff", "--expect-no-changes")
    assert code != 0
    for word in ("hasWiki", "enforcement", "active", "events", "defaultWorkflowPermissions"):
        assert word in shown
    estate.up("--refresh")
    estate.expect_no_changes()
    (hook_,) = estate.hooks("carica-ml")
    assert (hook_["active"], hook_["events"]) == (True, ["workflow_run"])
    assert len(estate.hooks("carica")) == 1
    assert estate.rulesets("carica-ml")[0]["enforcement"] == "active"


def test_a_repository_that_somebody_deleted_is_named_and_made_again_after_a_refresh(estate: Stack) -> None:
    estate.up()
    with estate.github.api(TOKEN) as api:
        api.delete("/repos/centaurin/carica-ml").raise_for_status()
    said = estate.failing_up()
    assert "repositories[1].name is carica-ml, which GitHub does not show (404)" in said
    assert "if it is gone: pulumi refresh" in said
    # It drops what it does not find, and complains of the parts that GitHub has no answer for.
    estate.pulumi("refresh", "--yes", "--skip-preview")
    estate.up()
    assert len(estate.hooks("carica-ml")) == 1
    assert estate.known("carica-ml")["vulnerability_alerts"] is True
    estate.refresh_finds_nothing()
    estate.expect_no_changes()


# --- log-ins, and a GitHub that misbehaves ----------------------------------------------------------------------------


def test_an_app_administers_as_a_token_does(estate: Stack) -> None:
    private = serialization.load_pem_private_key(app_key().encode(), None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    number, installation = estate.github.app("desk", public.decode(), ADMINISTERS)
    app = {"id": str(number), "installationId": str(installation)}
    estate.choose(githubToken=None, githubApp=app, githubAppKey=app_key())
    estate.up()
    estate.expect_no_changes()
    _, state = estate.pulumi("stack", "export")
    assert "stray" not in state
    assert app_key().splitlines()[3] not in state


@pytest.mark.parametrize(
    ("lacking", "named"),
    [
        ("administration", "may not administer every repository: it lacks the permission administration"),
        ("contents", "lacks the permission contents=write"),
        ("webhooks", "lacks the permission repository_hooks=read"),
    ],
)
def test_a_permission_that_lacks_is_said_before_anything_is_changed(estate: Stack, lacking: str, named: str) -> None:
    estate.up()
    estate.github.token({key: level for key, level in ADMINISTERS.items() if key != lacking}, token=TOKEN)
    estate.choose(repositories=repositories("carica-ml", description="changed"))
    said = estate.failing_up("--skip-preview")
    assert f"carica-kestra:githubToken {named}" in said
    assert not estate.known("carica-ml")["settings"]["description"]


def test_a_new_token_takes_the_place_of_one_that_was_revoked(estate: Stack) -> None:
    estate.up()
    estate.github.revoke(TOKEN)
    assert "carica-kestra:githubToken is not taken by GitHub" in estate.failing_up()
    estate.github.token(ADMINISTERS, token="u" * 40)
    estate.choose(githubToken="u" * 40, repositories=repositories("carica-ml", description="changed"))
    estate.up()
    with estate.github.api("u" * 40) as api:
        assert api.get("/repos/centaurin/carica-ml").json()["description"] == "changed"
    estate.expect_no_changes()
    estate.refresh_finds_nothing()
    estate.github.token(ADMINISTERS, token=TOKEN)


def test_a_repository_that_the_token_may_not_see_is_named(estate: Stack) -> None:
    estate.choose(repositories=repositories("carica-ml", visibility="private", ruleset=False))
    estate.up()
    estate.github.token(ADMINISTERS, token=TOKEN, repositories=["carica", "carica-deploy", "carica-kestra"])
    said = estate.failing_up()
    assert "repositories[1].name is carica-ml, which GitHub does not show (404)" in said
    estate.github.token(ADMINISTERS, token=TOKEN)
    estate.expect_no_changes()


def test_a_short_trouble_of_githubs_is_outlived(estate: Stack) -> None:
    estate.github.misbehave("error", calls=2, path="/users/", status=502)
    estate.github.misbehave("error", calls=2, method="POST", path="/hooks$", status=503)
    estate.up()
    estate.expect_no_changes()


def test_a_long_trouble_of_githubs_is_said_and_the_next_up_goes_on(estate: Stack) -> None:
    estate.github.misbehave("error", calls=100, method="POST", path="/rulesets$", status=500)
    assert "500" in estate.failing_up("--skip-preview")
    estate.github.behave()
    estate.up()
    estate.expect_no_changes()
    assert all(len(estate.rulesets(name)) == 1 for name in NAMES)


def test_a_used_up_rate_limit_is_said_before_anything_is_changed(estate: Stack) -> None:
    estate.github.misbehave("rate_limit", calls=100, seconds=600)
    said = estate.failing_up("--skip-preview")
    assert "carica-kestra:githubToken has used up its calls" in said
    assert "then: pulumi up" in said
    estate.github.behave()
    estate.up()
