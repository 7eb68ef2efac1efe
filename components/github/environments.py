"""CI's environments as they are on GitHub, where a refresh does not notice that somebody changed them by hand."""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi_github as github

from components.github.api import GitHub
from components.github.parts import Part, Parts, Reviewers
from components.settings import DEPLOYING, GitHubRepository, Settings

CHANGED = "was changed by hand"
"""What ci/drift.py looks for."""


def watch(
    settings: Settings,
    state: Mapping[Part, Mapping[str, Any]],
    client: GitHub,
    declared: GitHubRepository,
    name: str,
    warn: Callable[[str], None],
) -> None:
    """Warn of reviewers, branches and secrets of the environments that are not as the last `up` left them.

    pulumi-github reads reviewers that are gone as if they were there, knows only of the branches it made itself, and
    notices a secret's change without putting it back. `name` is the repository's name now.
    """
    for environment in declared.ci.environments if declared.ci else ():
        parts = Parts(name=declared.name, formerly=declared.formerly).of_environment(environment)
        known = parts.known(github.RepositoryEnvironment, "", state)
        at = f"/repos/{settings.github_owner}/{name}/environments/{environment}"
        there = client.get(at)
        if there.status_code == 404:
            continue
        page = f"{settings.github_url}/{settings.github_owner}/{name}/settings/environments"
        if known and _reviewers(there.json()) != _reviewers_before(state[known]):
            warn(f"who approves deployments to {environment} of {name} {CHANGED}; put it back at {page}")
        if environment == DEPLOYING:
            for policy in client.entries(f"{at}/deployment-branch-policies"):
                if policy["name"] != settings.branch_of(declared):
                    more = f"{policy['name']} may deploy as well; take it away at {page}"
                    warn(f"{environment} of {name} {CHANGED}: {more}")
        for secret in client.entries(f"{at}/secrets"):
            ours = parts.known(github.ActionsEnvironmentSecret, secret["name"], state)
            # Go writes the time as `2026-11-25 08:00:00 +0000 UTC`, or not at all when GitHub had none yet.
            before = str((ours and state[ours].get("updatedAt")) or "")[:19].replace(" ", "T")
            if ours and before and before != secret["updated_at"][:19]:
                again = f"pulumi up --replace '**::{ours[1]}'"
                warn(f"the secret {secret['name']} of {environment} of {name} {CHANGED}; to set it again: {again}")


def _reviewers(environment: dict[str, Any]) -> Reviewers:
    """Return those that GitHub names."""
    named = [
        (each["type"], each["reviewer"]["id"])
        for rule in environment.get("protection_rules", ())
        if rule["type"] == "required_reviewers"
        for each in rule["reviewers"]
    ]
    return Reviewers(
        users=tuple(sorted(number for kind, number in named if kind == "User")),
        teams=tuple(sorted(number for kind, number in named if kind == "Team")),
    )


def _reviewers_before(stored: Mapping[str, Any]) -> Reviewers:
    """Return those of the stack's state."""
    listed = stored.get("reviewers") or [{}]
    users, teams = (tuple(sorted(int(each) for each in listed[0].get(kind) or ())) for kind in ("users", "teams"))
    return Reviewers(users=users, teams=teams)
