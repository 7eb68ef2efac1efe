"""Environment: what a workflow run on GitHub gets, and who must agree before it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_github as github

from components.github.parts import Parts, Reviewers


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
    admins_bypass: bool | None
    """Whether administrators may deploy without approval; None where the plan has no say in it."""
    parts: Parts
    """What its parts are called."""


class Environment(pulumi.ComponentResource):
    """An environment for deployments. It goes, with all secrets in it, when it is no longer declared."""

    def __init__(self, name: str, args: EnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the environment."""
        super().__init__("carica:environment:Environment", name, None, opts)

        def child(kind: type[pulumi.CustomResource], which: str = "", **options: Any) -> pulumi.ResourceOptions:
            return args.parts.options(kind, which, parent=self, **options)

        who = args.reviewers
        environment = github.RepositoryEnvironment(
            name,
            repository=args.repository,
            environment=args.environment,
            can_admins_bypass=args.admins_bypass,
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
        within: dict[str, Any] = {"deleted_with": environment}
        if args.branch:
            github.RepositoryEnvironmentDeploymentPolicy(
                args.parts.name_of(github.RepositoryEnvironmentDeploymentPolicy),
                repository=args.repository,
                environment=environment.environment,
                branch_pattern=args.branch,
                opts=child(github.RepositoryEnvironmentDeploymentPolicy, **within),
            )
        for secret, value in args.secrets.items():
            github.ActionsEnvironmentSecret(
                args.parts.name_of(github.ActionsEnvironmentSecret, secret),
                repository=args.repository,
                environment=environment.environment,
                secret_name=secret,
                value=value,
                opts=child(github.ActionsEnvironmentSecret, secret, delete_before_replace=True, **within),
            )
        for variable, value in args.variables.items():
            github.ActionsEnvironmentVariable(
                args.parts.name_of(github.ActionsEnvironmentVariable, variable),
                repository=args.repository,
                environment=environment.environment,
                variable_name=variable,
                value=value,
                opts=child(github.ActionsEnvironmentVariable, variable, **within),
            )
        self.register_outputs({})
