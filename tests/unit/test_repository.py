"""What is declared on GitHub: settings, protection, hooks, keys, environments, and how each of it may go."""

from typing import Any

import pytest

from components.github.access import Found
from components.github.parts import Reviewers
from tests.unit.program import SECRETS, plain, program, public
from tests.unit.recording import Declared
from tests.unit.valid import HOST_KEY, REPOSITORIES, app_key, private_key, repositories

NAMES = [each["name"] for each in REPOSITORIES]


def kind(declared: list[Declared], name: str) -> dict[str, Declared]:
    """Resources of one of GitHub's types, by name."""
    token = f"github:index/{name[0].lower()}{name[1:]}:{name}"
    return {each.name: each for each in declared if each.type == token}


def one(declared: list[Declared], type_name: str, name: str) -> dict[str, Any]:
    """Inputs of one resource, laid open."""
    return plain(kind(declared, type_name)[name])


@pytest.fixture(scope="module")
def desk() -> list[Declared]:
    return program()


def changed(which: str, **values: Any) -> list[Declared]:
    """The desk with one repository changed."""
    return program(repositories=repositories(which, **values))


def test_there_is_one_for_each_entry_and_a_fifth_is_data(desk: list[Declared]) -> None:
    assert set(kind(desk, "Repository")) == set(NAMES)
    fifth = program(repositories=[*REPOSITORIES, {"name": "carica-docs", "visibility": "public"}])
    assert set(kind(fifth, "Repository")) == {*NAMES, "carica-docs"}


def test_a_stack_without_repositories_declares_nothing_on_github() -> None:
    declared = program(repositories=[], githubToken=None, ciSecrets=None)
    assert not any("github" in each.type for each in declared)


def test_repositories_outlive_mistakes(desk: list[Declared]) -> None:
    for each in kind(desk, "Repository").values():
        assert each.options.protect
        assert each.options.retainOnDelete


def test_settings_stay_and_doors_are_closed_when_a_repository_is_let_go(desk: list[Declared]) -> None:
    """Nothing of ours may still call the desk, read the repository or hold its secrets; what guards it stays."""
    for type_name in ("BranchDefault", "RepositoryVulnerabilityAlerts", "ActionsRepositoryPermissions"):
        assert all(each.options.retainOnDelete for each in kind(desk, type_name).values())
    assert all(each.options.retainOnDelete for each in kind(desk, "WorkflowRepositoryPermissions").values())
    for name, each in kind(desk, "RepositoryRuleset").items():
        # Not retained by itself: a ruleset that is no longer wanted goes while its repository stays.
        assert each.options.deletedWith.endswith(f"Repository::{name.removesuffix('-ruleset')}")
        assert not each.options.retainOnDelete
    for type_name in ("RepositoryWebhook", "RepositoryDeployKey", "RepositoryEnvironment"):
        for each in kind(desk, type_name).values():
            assert not each.options.protect
            assert not each.options.retainOnDelete
            assert not each.options.deletedWith
    for type_name in ("ActionsEnvironmentSecret", "ActionsEnvironmentVariable"):
        for each in kind(desk, type_name).values():
            assert "RepositoryEnvironment::" in each.options.deletedWith


def test_a_new_repository_begins_with_a_branch_and_one_that_exists_is_not_told_to(desk: list[Declared]) -> None:
    assert one(desk, "Repository", "carica")["autoInit"] is True
    assert "autoInit" in kind(desk, "Repository")["carica"].options.ignoreChanges


def test_settings_are_what_the_stack_says() -> None:
    values = {
        "description": "The models",
        "homepage": "https://ml.carica.example",
        "topics": ["machine-learning"],
        "visibility": "public",
        "issues": False,
        "projects": True,
        "wiki": True,
        "merge": {
            "squash": False,
            "rebase": True,
            "commit": True,
            "auto": True,
            "update": False,
            "deleteBranch": False,
        },
    }
    given = one(changed("carica-ml", **values), "Repository", "carica-ml")
    assert given["description"] == "The models"
    assert given["homepageUrl"] == "https://ml.carica.example"
    assert given["topics"] == ["machine-learning"]
    assert given["visibility"] == "public"
    assert (given["hasIssues"], given["hasProjects"], given["hasWiki"]) == (False, True, True)
    assert (given["allowSquashMerge"], given["allowRebaseMerge"], given["allowMergeCommit"]) == (False, True, True)
    assert (given["allowAutoMerge"], given["allowUpdateBranch"], given["deleteBranchOnMerge"]) == (True, False, False)


@pytest.mark.parametrize(
    ("merge", "ignored"),
    [
        ({}, {"mergeCommitTitle", "mergeCommitMessage"}),
        ({"commit": True}, set()),
        ({"squash": False, "rebase": True}, {"mergeCommitTitle", "squashMergeCommitTitle", "squashMergeCommitMessage"}),
    ],
)
def test_titles_of_a_way_of_merging_that_is_closed_are_githubs(merge: dict[str, Any], ignored: set[str]) -> None:
    """The plugin sends none for it, so that a difference would show for ever."""
    declared = kind(changed("carica-ml", merge=merge), "Repository")["carica-ml"]
    assert set(declared.options.ignoreChanges) >= {"autoInit", *ignored}
    assert ("squashMergeCommitTitle" in declared.inputs) is ("squashMergeCommitTitle" not in ignored)


def test_secrets_are_scanned_for_where_that_is_ours_to_say() -> None:
    public_ = one(program(), "Repository", "carica-ml")["securityAndAnalysis"]
    assert public_["secretScanning"]["status"] == public_["secretScanningPushProtection"]["status"] == "enabled"
    off = one(changed("carica-ml", secretScanning=False), "Repository", "carica-ml")["securityAndAnalysis"]
    assert off["secretScanning"]["status"] == off["secretScanningPushProtection"]["status"] == "disabled"
    private = changed("carica-ml", visibility="private", ruleset=False)
    assert "securityAndAnalysis" not in one(private, "Repository", "carica-ml")


def test_no_property_is_used_that_the_plugin_has_given_up(desk: list[Declared]) -> None:
    gone = {
        "private",
        "defaultBranch",
        "vulnerabilityAlerts",
        "pages",
        "hasDownloads",
        "ignoreVulnerabilityAlertsDuringRead",
    }
    for each in kind(desk, "Repository").values():
        assert not gone & set(each.inputs)
    for each in kind(desk, "ActionsEnvironmentSecret").values():
        assert "plaintextValue" not in each.inputs


def test_alerts_are_what_the_stack_says(desk: list[Declared]) -> None:
    assert one(desk, "RepositoryVulnerabilityAlerts", "carica-ml-alerts")["enabled"] is True
    off = changed("carica-ml", vulnerabilityAlerts=False)
    assert one(off, "RepositoryVulnerabilityAlerts", "carica-ml-alerts")["enabled"] is False


def test_the_default_branch_is_the_stacks_or_the_repositorys_own(desk: list[Declared]) -> None:
    assert one(desk, "BranchDefault", "carica-default-branch")["branch"] == "main"
    docs = {"name": "docs", "visibility": "public", "defaultBranch": "trunk"}
    declared = program(repositories=[*REPOSITORIES, docs])
    assert one(declared, "BranchDefault", "docs-default-branch")["branch"] == "trunk"


def test_a_branch_that_is_there_is_not_renamed(desk: list[Declared]) -> None:
    assert one(desk, "BranchDefault", "carica-default-branch")["rename"] is True
    adopted = changed("carica-ml", adopt=True)
    assert one(adopted, "BranchDefault", "carica-ml-default-branch")["rename"] is False


def test_the_default_branch_is_protected(desk: list[Declared]) -> None:
    ruleset = one(desk, "RepositoryRuleset", "carica-ml-ruleset")
    assert ruleset["enforcement"] == "active"
    assert ruleset["target"] == "branch"
    assert ruleset["conditions"]["refName"] == {"includes": ["~DEFAULT_BRANCH"], "excludes": []}
    rules = ruleset["rules"]
    assert rules["deletion"] is rules["nonFastForward"] is True
    assert rules["pullRequest"]["requiredApprovingReviewCount"] == 1
    assert rules["pullRequest"]["allowedMergeMethods"] == ["squash"]
    # What was approved is what is merged, and nobody's question is left unanswered.
    assert rules["pullRequest"]["dismissStaleReviewsOnPush"] is True
    assert rules["pullRequest"]["requiredReviewThreadResolution"] is True
    assert "requiredStatusChecks" not in rules
    assert not ruleset.get("bypassActors")


def test_checks_approvals_and_pull_requests_are_what_the_stack_says() -> None:
    declared = changed("carica-ml", requiredChecks=["Build", "Test"], approvals=2, merge={"rebase": True})
    rules = one(declared, "RepositoryRuleset", "carica-ml-ruleset")["rules"]
    assert rules["requiredStatusChecks"]["requiredChecks"] == [{"context": "Build"}, {"context": "Test"}]
    assert rules["requiredStatusChecks"]["strictRequiredStatusChecksPolicy"] is True
    assert rules["pullRequest"]["requiredApprovingReviewCount"] == 2
    assert rules["pullRequest"]["allowedMergeMethods"] == ["squash", "rebase"]
    without = one(changed("carica-ml", pullRequests=False), "RepositoryRuleset", "carica-ml-ruleset")["rules"]
    assert "pullRequest" not in without
    assert without["deletion"] is without["nonFastForward"] is True


def test_a_bypass_for_deploy_keys_is_there_only_where_it_is_said() -> None:
    declared = changed("carica-ml", deployKeysBypass=True)
    actors = one(declared, "RepositoryRuleset", "carica-ml-ruleset")["bypassActors"]
    assert actors == [{"actorType": "DeployKey", "bypassMode": "always"}]


def test_no_ruleset_where_none_is_wanted() -> None:
    assert "carica-ml-ruleset" not in kind(changed("carica-ml", ruleset=False), "RepositoryRuleset")


def test_each_flow_has_its_hook_at_the_repository_that_starts_it(desk: list[Declared]) -> None:
    hooks = {name: plain(each) for name, each in kind(desk, "RepositoryWebhook").items()}
    base = "https://localhost:8443/api/v1/main/executions/webhook/prod"
    assert {name: (each["configuration"]["url"], each["events"]) for name, each in hooks.items()} == {
        "carica-gh_workflow_completed": (f"{base}/gh_workflow_completed/{'k' * 24}", ["workflow_run"]),
        "carica-ml-gh_workflow_completed": (f"{base}/gh_workflow_completed/{'k' * 24}", ["workflow_run"]),
        "carica-deploy-gh_push_deployment": (f"{base}/gh_push_deployment/{'k' * 24}", ["push"]),
        "carica-kestra-sync_from_git": (f"{base}/sync_from_git/{'k' * 24}", ["push"]),
    }
    for each in hooks.values():
        assert each["configuration"]["contentType"] == "json"
        assert each["configuration"]["secret"] == "s" * 40
        assert each["configuration"]["insecureSsl"] is False


def test_hooks_come_after_the_edge_and_the_flows(desk: list[Declared]) -> None:
    """GitHub calls a new hook at once, and after a new key or secret the edge must know both."""
    for each in kind(desk, "RepositoryWebhook").values():
        after = {urn.rpartition("::")[2] for urn in each.options.dependencies}
        assert after >= {
            "carica-test-haproxy",
            "carica-test-haproxy-configuration",
            "sync_from_git",
            "gh_push_deployment",
        }


def test_after_a_rename_the_old_hook_and_key_go_first(desk: list[Declared]) -> None:
    """GitHub takes no second one with the same address or key, and the old name leads to the same repository."""
    for each in [*kind(desk, "RepositoryWebhook").values(), *kind(desk, "RepositoryDeployKey").values()]:
        assert each.options.deleteBeforeReplace


def test_the_deploy_key_is_the_deploy_hosts_and_only_reads(desk: list[Declared]) -> None:
    keys = kind(desk, "RepositoryDeployKey")
    (name,) = keys
    assert name.startswith("carica-deploy-deploy-key-")
    given = plain(keys[name])
    assert given["readOnly"] is True
    assert given["key"].startswith("ssh-ed25519 ")
    by_https = [{"name": "web", "address": "web.example.com", "user": "deploy", "hostKey": HOST_KEY,
                 "repository": "https://github.com/centaurin/carica-deploy"}]  # fmt: skip
    assert not kind(program(deployHosts=by_https, deployGitKey=None), "RepositoryDeployKey")


def test_workflows_get_little(desk: list[Declared]) -> None:
    for name in NAMES:
        workflows = one(desk, "WorkflowRepositoryPermissions", f"{name}-workflows")
        assert workflows["defaultWorkflowPermissions"] == "read"
        assert workflows["canApprovePullRequestReviews"] is False
        actions = one(desk, "ActionsRepositoryPermissions", f"{name}-actions")
        assert actions["allowedActions"] == "selected"
        assert actions["allowedActionsConfig"] == {
            "githubOwnedAllowed": True,
            "verifiedAllowed": False,
            "patternsAlloweds": ["actions/*"],
        }
    declared = changed("carica-ml", actions=["docker/*"], pinnedActions=True)
    actions = one(declared, "ActionsRepositoryPermissions", "carica-ml-actions")
    assert actions["allowedActionsConfig"]["patternsAlloweds"] == ["docker/*"]
    assert actions["shaPinningRequired"] is True


def test_ci_has_a_protected_environment_and_one_for_previews(desk: list[Declared]) -> None:
    environments = {name: plain(each) for name, each in kind(desk, "RepositoryEnvironment").items()}
    assert set(environments) == {"carica-kestra-prod", "carica-kestra-preview"}
    prod = environments["carica-kestra-prod"]
    assert prod["environment"] == "prod"
    assert prod["canAdminsBypass"] is False
    assert prod["deploymentBranchPolicy"] == {"protectedBranches": False, "customBranchPolicies": True}
    policy = one(desk, "RepositoryEnvironmentDeploymentPolicy", "carica-kestra-prod-branch")
    assert (policy["environment"], policy["branchPattern"]) == ("prod", "main")
    assert "deploymentBranchPolicy" not in environments["carica-kestra-preview"]
    alone = changed("carica-kestra", ci={"preview": False})
    assert set(kind(alone, "RepositoryEnvironment")) == {"carica-kestra-prod"}


def test_ci_gets_its_secrets_and_variables_in_both(desk: list[Declared]) -> None:
    secrets = {name: plain(each)["value"] for name, each in kind(desk, "ActionsEnvironmentSecret").items()}
    for environment in ("prod", "preview"):
        assert secrets[f"carica-kestra-{environment}-PULUMI_BACKEND_URL"] == "file:///state-of-the-desk"
        assert secrets[f"carica-kestra-{environment}-PULUMI_CONFIG_PASSPHRASE"] == "p" * 40
    variables = program(ciVariables={"AWS_REGION": "eu-central-1"})
    values = {name: plain(each)["value"] for name, each in kind(variables, "ActionsEnvironmentVariable").items()}
    assert values["carica-kestra-prod-AWS_REGION"] == "eu-central-1"
    assert values["carica-kestra-prod-PULUMI_STACK"] == "test"


def test_who_approves_deployments_is_asked_before_they_get_the_secrets() -> None:
    found = Found(reviewers=Reviewers(users=(583231,), teams=(42,)))
    declared = program(
        found, repositories=repositories("carica-kestra", ci={"reviewers": ["octocat", "centaurin/ops"]})
    )
    assert one(declared, "RepositoryEnvironment", "carica-kestra-prod")["reviewers"] == [
        {"users": [583231], "teams": [42]}
    ]
    assert not one(declared, "RepositoryEnvironment", "carica-kestra-preview").get("reviewers")
    ci = {"reviewers": ["octocat", "centaurin/ops"], "reviewPreviews": True}
    both = program(found, repositories=repositories("carica-kestra", ci=ci))
    assert one(both, "RepositoryEnvironment", "carica-kestra-preview")["reviewers"][0]["teams"] == [42]


def test_what_is_found_is_imported_and_nothing_else() -> None:
    found = Found(
        existing={
            ("github:index/repository:Repository", "carica-ml"): "carica-ml",
            ("github:index/repositoryWebhook:RepositoryWebhook", "carica-ml-gh_workflow_completed"): "carica-ml/7",
            ("github:index/repositoryEnvironment:RepositoryEnvironment", "carica-kestra-prod"): "carica-kestra:prod",
        }
    )
    imported = {each.name: each.options.importId for each in program(found) if each.options.importId}
    assert imported == {
        "carica-ml": "carica-ml",
        "carica-ml-gh_workflow_completed": "carica-ml/7",
        "carica-kestra-prod": "carica-kestra:prod",
    }


def test_a_renamed_repository_is_the_same_one() -> None:
    declared = program(repositories=repositories("carica-ml", name="models", formerly="carica-ml"))
    component = next(each for each in declared if each.type == "carica:repository:Repository" and each.name == "models")
    assert [alias.spec.name for alias in component.options.aliases] == ["carica-ml"]
    assert all(each.name.startswith("models") for each in declared if "models" in each.options.parent)


def test_each_part_says_its_former_name_for_a_rename_that_broke_off() -> None:
    declared = changed("carica-kestra", name="desk", formerly="carica-kestra")
    parts = [each for each in declared if each.name.startswith("desk") and each.type.startswith("github:")]
    assert len(parts) > 10
    for each in parts:
        (alias,) = (alias.spec.name for alias in each.options.aliases if not alias.spec.type)
        assert alias == f"carica-kestra{each.name.removeprefix('desk')}"


def test_a_new_deploy_key_is_there_before_the_old_one_goes(desk: list[Declared]) -> None:
    other = kind(program(deployGitKey=private_key.__wrapped__()), "RepositoryDeployKey")
    assert not set(other) & set(kind(desk, "RepositoryDeployKey"))


@pytest.mark.parametrize(("plan", "visibility", "said"), [("free", "public", True), ("team", "private", False)])
def test_administrators_are_held_to_approvals_where_the_plan_lets_them(plan: str, visibility: str, said: bool) -> None:
    """Where it does not, GitHub drops the word without an error, and a difference would show for ever."""
    declared = program(
        githubPlan=plan, repositories=repositories("carica-kestra", visibility=visibility, secretScanning=False)
    )
    given = one(declared, "RepositoryEnvironment", "carica-kestra-prod")
    assert given.get("canAdminsBypass") is (False if said else None)


def test_secrets_are_marked_wherever_they_stand(desk: list[Declared]) -> None:
    github = [each for each in desk if "github" in each.type]
    for each in github:
        shown = public(each.inputs)
        for secret in SECRETS:
            assert secret not in shown, f"{secret} is plain in {each.name}"
    for each in kind(desk, "RepositoryWebhook").values():
        # After a refresh or an import as well, when the plugin says what is there.
        assert "configuration" in each.options.additionalSecretOutputs


def test_the_plugin_is_told_all_and_takes_nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "somebody's own")
    monkeypatch.setenv("GITHUB_BASE_URL", "https://elsewhere.example/")
    app = {"githubToken": None, "githubApp": {"id": "Iv1", "installationId": "4711"}, "githubAppKey": app_key()}
    chosen: list[dict[str, Any]] = [{}, app]
    for values in chosen:
        provider = next(each for each in program(**values) if each.type == "pulumi:providers:github")
        given = plain(provider)
        assert given["owner"] == "centaurin"
        assert given["baseUrl"] == "https://api.github.com/"
        assert "somebody's own" not in str(given)
        assert given["token"] == ("" if values else "t" * 40)
        assert "PRIVATE" not in public(provider.inputs)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://github.example.com", "https://github.example.com/"),
        ("https://carica.ghe.com", "https://api.carica.ghe.com/"),
    ],
)
def test_the_plugin_is_sent_to_an_enterprise_server(url: str, base: str) -> None:
    provider = next(each for each in program(githubUrl=url) if each.type == "pulumi:providers:github")
    assert plain(provider)["baseUrl"] == base


def test_all_on_github_is_made_by_the_declared_login(desk: list[Declared]) -> None:
    for each in desk:
        if each.type.startswith("github:"):
            assert "::github::" in each.options.provider
            assert "carica:" in each.options.parent


# --- the deploy host's checkout ---------------------------------------------------------------------------------------


def commands(desk: list[Declared]) -> dict[str, dict[str, Any]]:
    return {each.name: plain(each) for each in desk if each.type == "command:remote:Command"}


def test_the_checkout_is_fetched_with_the_deploy_key_from_a_known_server(desk: list[Declared]) -> None:
    given = commands(desk)
    assert given["web-git-known-hosts"]["stdin"].startswith("github.com ssh-ed25519 ")
    key = given["web-git-key"]
    assert "PRIVATE KEY" in key["stdin"]
    assert key["stdin"].endswith("\n")
    assert "install -m 0400 -o deploy " in key["create"]


def test_the_key_crosses_nothing_but_standard_input(desk: list[Declared]) -> None:
    declared = next(each for each in desk if each.name == "web-git-key")
    assert "PRIVATE KEY" not in public(declared.inputs)
    assert "PRIVATE KEY" not in plain(declared)["create"]


def test_the_checkout_comes_after_the_key_is_there_and_github_lets_it_in(desk: list[Declared]) -> None:
    checkout = next(each for each in desk if each.name == "web-deployment")
    after = {urn.rpartition("::")[2] for urn in checkout.options.dependencies}
    (key,) = kind(desk, "RepositoryDeployKey")
    assert after >= {"web-git-key", "web-git-known-hosts", key, "carica-deploy-default-branch"}


def test_a_checkout_that_takes_no_key_gets_none() -> None:
    by_https = [{"name": "web", "address": "web.example.com", "user": "deploy", "hostKey": HOST_KEY,
                 "repository": "https://github.com/centaurin/carica-deploy"}]  # fmt: skip
    declared = set(commands(program(deployHosts=by_https)))
    assert declared >= {"web-account", "web-deployment"}
    assert not {"web-git-key", "web-git-known-hosts"} & declared
