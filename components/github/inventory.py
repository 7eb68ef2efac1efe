"""What a repository that is to be adopted has already: the ids by which Pulumi takes it over."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pulumi
import pulumi_github as github

from components.github.adoption import Existing, Part, part
from components.github.api import GitHub, Refusal
from components.repository import RULESET
from components.settings import GitHubRepository, Settings


def existing(
    settings: Settings,
    managed: frozenset[Part],
    client: GitHub,
    declared: GitHubRepository,
    name: str,
    warn: Callable[[str], None],
) -> Existing:
    """Return the id of each part that GitHub has and the stack's state, `managed`, has not; `name` is its name now.

    What is in the state is left alone: there an id in another form would look like another resource, and the first one
    would be deleted. Once all is there nothing is asked. `warn` is told of what is there twice.
    """
    parts = _parts(settings, managed, client, declared, name, warn)
    return {part: id_ for part, id_ in parts if part not in managed}


def _parts(
    settings: Settings,
    managed: frozenset[Part],
    client: GitHub,
    declared: GitHubRepository,
    name: str,
    warn: Callable[[str], None],
) -> Iterator[tuple[Part, str]]:
    def own(kind: type[pulumi.CustomResource], what: str = "") -> Part:
        return part(kind, f"{declared.name}{what}")

    path = f"/repos/{settings.github_owner}/{name}"
    yield own(github.Repository), name
    # Every repository has these.
    yield own(github.BranchDefault, "-default-branch"), name
    yield own(github.RepositoryVulnerabilityAlerts, "-alerts"), name
    yield own(github.ActionsRepositoryPermissions, "-actions"), name
    yield own(github.WorkflowRepositoryPermissions, "-workflows"), name

    if declared.ruleset and own(github.RepositoryRuleset, "-ruleset") not in managed:
        for ruleset in client.all(f"{path}/rulesets", "&includes_parents=false"):
            if ruleset["name"] == RULESET:
                yield own(github.RepositoryRuleset, "-ruleset"), f"{name}:{ruleset['id']}"

    missing = [flow for flow in declared.hooks if own(github.RepositoryWebhook, f"-{flow}") not in managed]
    hooks = client.all(f"{path}/hooks") if missing else []
    for flow in missing:
        if hook := _hook(hooks, flow, settings.domain, warn):
            yield own(github.RepositoryWebhook, f"-{flow}"), f"{name}/{hook['id']}"

    key = settings.deploy_key_of(declared)
    if key and own(github.RepositoryDeployKey, "-deploy-key") not in managed:
        for there in client.all(f"{path}/keys"):
            if there["key"].split()[:2] == key.split()[:2]:
                if not there["read_only"]:
                    fault = f"belongs to a deploy key of {declared.name} that may write: the deploy host only reads"
                    raise Refusal("deployGitKey", fault, f"gh api -X DELETE {path[1:]}/keys/{there['id']}")
                yield own(github.RepositoryDeployKey, "-deploy-key"), f"{name}:{there['id']}"

    for environment in declared.ci.environments if declared.ci else ():
        # The branch that may deploy is the last of it but for the variables, and those are asked for with it.
        prefix = f"-{environment}"
        wanted = [own(github.ActionsEnvironmentVariable, f"{prefix}-{each}") for each in settings.ci_variables]
        if set(wanted) <= managed and own(github.RepositoryEnvironment, prefix) in managed:
            continue
        at = f"{path}/environments/{environment}"
        if client.get(at).status_code == 404:
            continue
        # Its secrets are set anew: nobody can read them.
        yield own(github.RepositoryEnvironment, prefix), f"{name}:{environment}"
        for policy in client.all(f"{at}/deployment-branch-policies"):
            if policy["name"] == settings.branch_of(declared):
                yield (
                    own(github.RepositoryEnvironmentDeploymentPolicy, f"{prefix}-branch"),
                    f"{name}:{environment}:{policy['id']}",
                )
            else:
                warn(f"{policy['name']} may deploy to {environment} of {declared.name} as well, and is left alone")
        for variable in client.all(f"{at}/variables"):
            yield (
                own(github.ActionsEnvironmentVariable, f"{prefix}-{variable['name']}"),
                f"{name}:{environment}:{variable['name']}",
            )


def _hook(hooks: list[dict[str, Any]], flow: str, domain: str, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the hook that starts `flow`: the one that calls this desk, or else the first. The others are named."""
    starting = [each for each in hooks if f"/executions/webhook/prod/{flow}/" in each["config"].get("url", "")]
    # The sort is stable: those that call this desk come first, and else they stay in GitHub's order, oldest first.
    starting.sort(key=lambda each: urlsplit(each["config"]["url"]).hostname != domain)
    for other in starting[1:]:
        host = urlsplit(other["config"]["url"]).hostname
        warn(f"another hook starts {flow} as well, and is left alone: {other['id']}, which calls {host}")
    return starting[0] if starting else None
