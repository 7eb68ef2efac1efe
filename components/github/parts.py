"""What a repository is made of: how each part is called, what it was called before, and what is there already."""

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
import pulumi_github as github

Part = tuple[str, str]
"""Type and name of a resource, which tell it from all others of a stack."""

RULESET = "default branch"
"""The title of our ruleset on GitHub."""
DEPLOY_KEY = "deploy host"
"""The title of a deploy key of ours there."""

_CALLED: Mapping[type[pulumi.CustomResource], str] = {
    github.Repository: "",
    github.BranchDefault: "-default-branch",
    github.RepositoryVulnerabilityAlerts: "-alerts",
    github.ActionsRepositoryPermissions: "-actions",
    github.WorkflowRepositoryPermissions: "-workflows",
    github.RepositoryRuleset: "-ruleset",
    github.RepositoryWebhook: "-",
    github.RepositoryDeployKey: "-deploy-key-",
    github.RepositoryEnvironment: "",
    github.RepositoryEnvironmentDeploymentPolicy: "-branch",
    github.ActionsEnvironmentSecret: "-",
    github.ActionsEnvironmentVariable: "-",
}
"""Kind of part → what stands between the name of the whole and which one it is, where there may be several."""


@dataclass(frozen=True, kw_only=True)
class Reviewers:
    """Those one of whom must approve a deployment, by GitHub's numbers for them."""

    users: tuple[int, ...] = ()
    """People."""
    teams: tuple[int, ...] = ()
    """Teams."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a repository, or of one of its environments."""

    name: str
    """The resource's name, with which theirs begin."""
    formerly: str | None = None
    """The one before the repository was renamed."""
    existing: Mapping[Part, str] = field(default_factory=dict)
    """Part → the id by which it is taken over, for those that GitHub has and the stack's state has not."""

    def of_environment(self, environment: str) -> "Parts":
        """Return the parts of an environment."""
        formerly = f"{self.formerly}-{environment}" if self.formerly else None
        return replace(self, name=f"{self.name}-{environment}", formerly=formerly)

    def name_of(self, kind: type[pulumi.CustomResource], which: str = "") -> str:
        """Return a part's resource name."""
        return f"{self.name}{_CALLED[kind]}{which}"

    def part(self, kind: type[pulumi.CustomResource], which: str = "") -> Part:
        """Return a part's type and name."""
        return _token(kind), self.name_of(kind, which)

    def known(self, kind: type[pulumi.CustomResource], which: str, state: Container[Part]) -> Part | None:
        """Return under what `state` has a part, by its name or its former one; None if it has not."""
        former = (_token(kind), f"{self.formerly}{_CALLED[kind]}{which}")
        return next((part for part in (self.part(kind, which), former) if part in state), None)

    def options(self, kind: type[pulumi.CustomResource], which: str = "", **options: Any) -> pulumi.ResourceOptions:
        """Return options with which a part stays the same through a rename, and is taken over where it is there.

        A former name is said for each: the engine hands that of the component on to its children in the run in which
        it changes only, and a run that breaks off would leave the others behind.
        """
        former = [pulumi.Alias(name=f"{self.formerly}{_CALLED[kind]}{which}")] if self.formerly else None
        return pulumi.ResourceOptions(aliases=former, import_=self.existing.get(self.part(kind, which)), **options)


def key_name(public_key: str) -> str:
    """Return what tells a deploy key from others in the name of its resource."""
    return hashlib.sha256(public_key.encode()).hexdigest()[:8]


def _token(kind: type[pulumi.CustomResource]) -> str:
    return str(kind.pulumi_type)  # type: ignore[attr-defined]
