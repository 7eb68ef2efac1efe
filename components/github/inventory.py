"""What a repository has and the stack's state has not, as when it is adopted or an `up` broke off: the ids of it."""

from collections.abc import Callable, Container
from typing import Any
from urllib.parse import urlsplit

import pulumi_github as github

from components.flow import NAMESPACE
from components.github.api import GitHub, Refusal
from components.github.parts import RULESET, Part, Parts, key_name
from components.settings import DEPLOYING, GitHubRepository, Settings


def existing(
    settings: Settings,
    state: Container[Part],
    client: GitHub,
    declared: GitHubRepository,
    name: str,
    warn: Callable[[str], None],
) -> dict[Part, str]:
    """Return the id of each part that GitHub has and the stack's state has not; `name` is the repository's name now.

    What is in the state is left alone: there an id in another form would look like another resource, and the first one
    would be deleted. What is there already is not asked for. `warn` is told of what is there twice.
    """
    own = Parts(name=declared.name, formerly=declared.formerly)
    path = f"/repos/{settings.github_owner}/{name}"
    # Every repository has these.
    always = (
        github.Repository,
        github.BranchDefault,
        github.RepositoryVulnerabilityAlerts,
        github.ActionsRepositoryPermissions,
        github.WorkflowRepositoryPermissions,
    )
    found = {own.part(kind): name for kind in always if not own.known(kind, "", state)}

    if declared.ruleset and not own.known(github.RepositoryRuleset, "", state):
        for ruleset in client.entries(f"{path}/rulesets", "&includes_parents=false"):
            if ruleset["name"] == RULESET:
                found[own.part(github.RepositoryRuleset)] = f"{name}:{ruleset['id']}"

    missing = [flow for flow in declared.hooks if not own.known(github.RepositoryWebhook, flow, state)]
    hooks = client.entries(f"{path}/hooks") if missing else []
    for flow in missing:
        if hook := _hook(hooks, flow, settings.domain, warn):
            found[own.part(github.RepositoryWebhook, flow)] = f"{name}/{hook['id']}"

    key = settings.deploy_key_of(declared)
    if key and not own.known(github.RepositoryDeployKey, key_name(key), state):
        for there in client.entries(f"{path}/keys"):
            if there["key"].split()[:2] == key.split()[:2]:
                if not there["read_only"]:
                    fault = f"belongs to a deploy key of {declared.name} that may write: the deploy host only reads"
                    raise Refusal("deployGitKey", fault, f"gh api -X DELETE {path[1:]}/keys/{there['id']}")
                found[own.part(github.RepositoryDeployKey, key_name(key))] = f"{name}:{there['id']}"

    for environment in declared.ci.environments if declared.ci else ():
        found |= _environment(settings, state, client, declared, own.of_environment(environment), name, environment)
    return found


def _environment(
    settings: Settings,
    state: Container[Part],
    client: GitHub,
    declared: GitHubRepository,
    own: Parts,
    name: str,
    environment: str,
) -> dict[Part, str]:
    """Return the same for an environment. Its secrets are set anew: nobody can read them."""
    branch = [(github.RepositoryEnvironmentDeploymentPolicy, "")] if environment == DEPLOYING else []
    variables = [(github.ActionsEnvironmentVariable, each) for each in settings.workflow_variables]
    wanted = [(github.RepositoryEnvironment, ""), *branch, *variables]
    missing = [each for each in wanted if not own.known(*each, state)]
    at = f"/repos/{settings.github_owner}/{name}/environments/{environment}"
    if not missing or client.get(at).status_code == 404:
        return {}
    there: dict[tuple[Any, str], str] = {(github.RepositoryEnvironment, ""): f"{name}:{environment}"}
    for policy in client.entries(f"{at}/deployment-branch-policies"):
        if policy["name"] == settings.branch_of(declared):
            there[github.RepositoryEnvironmentDeploymentPolicy, ""] = f"{name}:{environment}:{policy['id']}"
    for variable in client.entries(f"{at}/variables"):
        there[github.ActionsEnvironmentVariable, variable["name"]] = f"{name}:{environment}:{variable['name']}"
    return {own.part(*each): there[each] for each in missing if each in there}


def _hook(hooks: list[dict[str, Any]], flow: str, domain: str, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the hook that starts `flow`: the one that calls this desk, or else the first. The others are named."""
    starting = [each for each in hooks if f"/executions/webhook/{NAMESPACE}/{flow}/" in each["config"].get("url", "")]
    # The sort is stable: those that call this desk come first, and else they stay in GitHub's order, oldest first.
    starting.sort(key=lambda each: urlsplit(each["config"]["url"]).hostname != domain)
    if starting and (host := urlsplit(starting[0]["config"]["url"]).hostname) != domain:
        warn(f"the hook {starting[0]['id']} starts {flow} at {host}, and will be taken over to call {domain}")
    for other in starting[1:]:
        host = urlsplit(other["config"]["url"]).hostname
        warn(f"another hook starts {flow} as well, and is left alone: {other['id']}, which calls {host}")
    return starting[0] if starting else None
