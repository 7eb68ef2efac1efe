"""GitHub's real provider against the lab's GitHub: what it declares is made, stays as it is, changes, and goes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lab import keys
from lab.github import Client
from lab.toolchain import toolchain
from tests.lab.hub import HOOK
from tests.trial import Project

PROGRAM = """
import pulumi
import pulumi_github as github

settings = pulumi.Config().require_object("settings")
provider = github.Provider(
    "github",
    owner="centaurin",
    base_url=pulumi.Config().require("api"),
    **settings["login"],
    write_delay_ms=0,
    parallel_requests=True,
)
mine = pulumi.ResourceOptions(provider=provider)

repository = github.Repository(
    "repository",
    name=settings["name"],
    description=settings["description"],
    topics=settings["topics"],
    visibility="public",
    auto_init=True,
    has_issues=True,
    has_wiki=False,
    has_projects=False,
    allow_merge_commit=False,
    delete_branch_on_merge=True,
    vulnerability_alerts=None,
    security_and_analysis={
        "secret_scanning": {"status": "enabled"},
        "secret_scanning_push_protection": {"status": "enabled"},
    },
    opts=mine,
)
# A new name replaces most of what hangs on a repository, and GitHub takes the new name for the old one: it refuses a
# second hook of the same address, and whoever deletes the old alerts deletes the new ones.
its = pulumi.ResourceOptions(provider=provider, delete_before_replace=True)
github.RepositoryVulnerabilityAlerts("alerts", repository=repository.name, opts=its)
github.BranchDefault("default", repository=repository.name, branch="main", opts=its)
github.RepositoryWebhook(
    "hook",
    repository=repository.name,
    events=settings["events"],
    configuration={
        "url": settings["url"],
        "content_type": "json",
        "secret": settings["secret"],
        "insecure_ssl": False,
    },
    opts=its,
)
github.RepositoryRuleset(
    "main",
    name="main",
    repository=repository.name,
    target="branch",
    enforcement="active",
    conditions={"ref_name": {"includes": ["~DEFAULT_BRANCH"], "excludes": []}},
    bypass_actors=[{"actor_type": "DeployKey", "bypass_mode": "always"}],
    rules={
        "deletion": True,
        "non_fast_forward": True,
        "pull_request": {"required_approving_review_count": settings["reviews"]},
        "required_status_checks": {"required_checks": [{"context": "check"}]},
    },
    opts=its,
)
github.RepositoryDeployKey(
    "key", repository=repository.name, title="deploy host", key=settings["key"], read_only=True, opts=its
)
github.ActionsSecret(
    "secret", repository=repository.name, secret_name="PASSPHRASE", value=settings["secret"], opts=its
)
github.ActionsVariable("variable", repository=repository.name, variable_name="HOST", value="host", opts=its)
environment = github.RepositoryEnvironment(
    "prod",
    repository=repository.name,
    environment="prod",
    can_admins_bypass=False,
    prevent_self_review=True,
    reviewers=[{"users": [settings["reviewer"]]}],
    deployment_branch_policy={"protected_branches": False, "custom_branch_policies": True},
    opts=its,
)
github.RepositoryEnvironmentDeploymentPolicy(
    "policy", repository=repository.name, environment=environment.environment, branch_pattern="main", opts=its
)
github.ActionsEnvironmentSecret(
    "environment-secret",
    repository=repository.name,
    environment=environment.environment,
    secret_name="TOKEN",
    value=settings["secret"],
    opts=its,
)
github.ActionsEnvironmentVariable(
    "environment-variable",
    repository=repository.name,
    environment=environment.environment,
    variable_name="STACK",
    value="prod",
    opts=its,
)
github.ActionsRepositoryPermissions(
    "permissions",
    repository=repository.name,
    enabled=True,
    allowed_actions="selected",
    allowed_actions_config={
        "github_owned_allowed": True,
        "verified_allowed": False,
        "patterns_alloweds": ["pulumi/*"],
    },
    opts=its,
)
github.WorkflowRepositoryPermissions(
    "workflows",
    repository=repository.name,
    default_workflow_permissions="read",
    can_approve_pull_request_reviews=False,
    opts=its,
)
"""


@pytest.fixture
def project(tmp_path: Path, github: Client) -> Iterator[Project]:
    github.reset()
    environment = toolchain().environment | {"GITHUB_TOKEN": "", "GITHUB_OWNER": "", "GITHUB_BASE_URL": ""}
    made = Project(tmp_path, environment)
    made.program(PROGRAM)
    assert made.pulumi("config", "set", "api", f"{github.url}/")[0] == 0
    yield made
    assert github.violations() == []


def settings(project: Project, github: Client, **changed: Any) -> None:
    token = github.token()
    with github.api(token) as api:
        reviewer = api.get("/user").json()["id"]
    value = {
        "login": {"token": token},
        "reviewer": reviewer,
        "name": "carica",
        "description": "What runs",
        "topics": ["iac"],
        "events": ["push"],
        "url": HOOK,
        "secret": "hush",
        "reviews": 0,
        "key": keys.ssh_key("deploy").public,
    } | changed
    assert project.pulumi("config", "set", "--secret", "settings", stdin=json.dumps(value))[0] == 0


def test_the_real_provider_sees_what_it_declared_and_no_end_of_differences(project: Project, github: Client) -> None:
    settings(project, github)
    project.up()
    project.expect_no_changes()
    code, shown = project.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes", "--diff")
    assert code == 0, shown
    assert github.secret("centaurin/carica", "PASSPHRASE") == "hush"
    assert github.secret("centaurin/carica", "TOKEN", "prod") == "hush"
    known = github.repository("centaurin/carica")
    assert [hook["secret"] for hook in known["hooks"].values()] == ["hush"]
    assert known["vulnerability_alerts"] is True
    (sent,) = github.deliveries("centaurin/carica")
    assert (sent["event"], sent["status_code"]) == ("ping", 200)

    settings(
        project, github, description="What runs here", topics=["iac", "kestra"], secret="hush hush", reviews=1,
        events=["push", "workflow_run"],
    )  # fmt: skip
    project.up()
    project.expect_no_changes()
    known = github.repository("centaurin/carica")
    assert (known["settings"]["description"], sorted(known["topics"])) == ("What runs here", ["iac", "kestra"])
    assert [hook["secret"] for hook in known["hooks"].values()] == ["hush hush"]
    assert github.secret("centaurin/carica", "PASSPHRASE") == "hush hush"

    settings(project, github, name="papaya", description="What runs here", secret="hush hush")
    project.up()
    renamed = github.repository("centaurin/papaya")
    assert (renamed["id"], renamed["vulnerability_alerts"], len(renamed["hooks"])) == (known["id"], True, 1)
    project.expect_no_changes()

    code, shown = project.pulumi("destroy", "--yes", "--skip-preview")
    assert code == 0, shown
    with github.api(github.token()) as api:
        assert api.get("/orgs/centaurin/repos").json() == []


def test_refresh_shows_what_somebody_changed_by_hand(project: Project, github: Client) -> None:
    settings(project, github)
    project.up()
    with github.api(github.token()) as api:
        api.patch("/repos/centaurin/carica", json={"has_wiki": True}).raise_for_status()
        hook = api.get("/repos/centaurin/carica/hooks").json()[0]["id"]
        api.delete(f"/repos/centaurin/carica/hooks/{hook}").raise_for_status()
        ruleset = api.get("/repos/centaurin/carica/rulesets").json()[0]["id"]
        api.put(f"/repos/centaurin/carica/rulesets/{ruleset}", json={"enforcement": "disabled"}).raise_for_status()
    code, shown = project.pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff")
    assert code != 0
    for word in ("hasWiki", "repositoryWebhook", "enforcement"):
        assert word in shown
    project.up("--refresh")
    project.expect_no_changes()
    known = github.repository("centaurin/carica")
    assert known["settings"]["has_wiki"] is False
    assert len(known["hooks"]) == 1


def test_the_provider_waits_for_a_limit_and_tries_again_after_an_error(project: Project, github: Client) -> None:
    github.misbehave("rate_limit", path="/hooks$", method="POST", seconds=3)
    github.misbehave("error", path="/keys$", method="POST", status=502)
    settings(project, github)
    project.up()
    project.expect_no_changes()
    assert github.calls()["POST /repos/{owner}/{repo}/hooks"] == 2


def test_an_app_is_as_good_as_a_token(project: Project, github: Client) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    app, installation = github.app("carica", public)
    login = {"app_auth": {"id": str(app), "installation_id": str(installation), "pem_file": private}}
    settings(project, github, login=login)
    project.up()
    project.expect_no_changes()
    assert [key["added_by"] for key in github.repository("centaurin/carica")["keys"].values()] == ["carica[bot]"]
