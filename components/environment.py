"""Environment: what a workflow run on GitHub gets, and who must agree before it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_github as github

from components.github.adoption import Existing, taken_over


@dataclass(frozen=True, kw_only=True)
class Reviewers:
    """Those one of whom must approve a deployment, by GitHub's numbers for them."""

    users: tuple[int, ...] = ()
    """People."""
    teams: tuple[int, ...] = ()
    """Teams."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentArgs:
    """What is in the environment."""

    repository: pulumi.Input[str]
    """The repository it belongs to."""
    environment: str
    """Its name, as workflows write it."""
    branch: str | None
    """The only branch whose runs get it; None: whoever can push a branch can read the secrets."""
    reviewers: Reviewers
    """Who must approve; nobody if it is empty."""
    secrets: Mapping[str, pulumi.Input[str]]
    """Name → value of what workflows read as `secrets.NAME`."""
    variables: Mapping[str, pulumi.Input[str]]
    """Name → value of what workflows read as `vars.NAME`."""
    existing: Existing
    """What is there already."""


class Environment(pulumi.ComponentResource):
    """An environment for deployments. It goes, with all secrets in it, when it is no longer declared."""

    def __init__(self, name: str, args: EnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the environment."""
        super().__init__("carica:environment:Environment", name, None, opts)

        def child(kind: type[pulumi.CustomResource], what: str = "", **options: Any) -> pulumi.ResourceOptions:
            options_ = pulumi.ResourceOptions(parent=self, **options)
            return taken_over(args.existing, kind, f"{name}{what}", options_)

        who = args.reviewers
        environment = github.RepositoryEnvironment(
            name,
            repository=args.repository,
            environment=args.environment,
            can_admins_bypass=False,
            reviewers=[github.RepositoryEnvironmentReviewerArgs(users=list(who.users), teams=list(who.teams))]
            if who != Reviewers()
            else None,
            deployment_branch_policy=github.RepositoryEnvironmentDeploymentBranchPolicyArgs(
                protected_branches=False, custom_branch_policies=True
            )
            if args.branch
            else None,
            opts=child(github.RepositoryEnvironment),
        )
        # All that is in it goes with the environment: one call instead of one for each.
        within = {"deleted_with": environment}
        if args.branch:
            github.RepositoryEnvironmentDeploymentPolicy(
                f"{name}-branch",
                repository=args.repository,
                environment=environment.environment,
                branch_pattern=args.branch,
                opts=child(github.RepositoryEnvironmentDeploymentPolicy, "-branch", **within),
            )
        for secret, value in args.secrets.items():
            github.ActionsEnvironmentSecret(
                f"{name}-{secret}",
                repository=args.repository,
                environment=environment.environment,
                secret_name=secret,
                value=value,
                opts=child(github.ActionsEnvironmentSecret, f"-{secret}", **within),
            )
        for variable, value in args.variables.items():
            github.ActionsEnvironmentVariable(
                f"{name}-{variable}",
                repository=args.repository,
                environment=environment.environment,
                variable_name=variable,
                value=value,
                opts=child(github.ActionsEnvironmentVariable, f"-{variable}", **within),
            )
        self.register_outputs({})
