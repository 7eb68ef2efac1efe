"""Repository: one GitHub repository, its settings, who may do what to its default branch, its hooks and deploy key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_github as github

from components.environment import Environment, EnvironmentArgs
from components.github.parts import DEPLOY_KEY, RULESET, Part, Parts, Reviewers, key_name
from components.settings import DEPLOYING, GitHubRepository

NO_OTHERS = ["actions/*"]
"""What is allowed anyway: the plugin does not send an empty list, and GitHub would keep what was allowed before."""


@dataclass(frozen=True, kw_only=True)
class CiArgs:
    """What the CI that deploys the estate gets."""

    reviewers: Reviewers
    """Who approves a deployment."""
    admins_bypass: bool | None
    """Whether administrators may do without; None where the plan has no say in it."""
    secrets: Mapping[str, pulumi.Input[str]]
    """Name → value of what workflows read as `secrets.NAME`."""
    variables: Mapping[str, pulumi.Input[str]]
    """Name → value of what workflows read as `vars.NAME`."""


@dataclass(frozen=True, kw_only=True)
class RepositoryArgs:
    """The repository, and what others have to do with it."""

    settings: GitHubRepository
    """All that is said of it in the stack's settings."""
    branch: str
    """Its default branch."""
    hook_urls: pulumi.Input[Mapping[str, str]]
    """Flow → address that its hook calls; the webhook key is in it."""
    hook_secret: pulumi.Input[str]
    """What GitHub signs deliveries with."""
    hooks_after: Sequence[pulumi.Resource]
    """What is there before a hook: GitHub calls it at once, to try it."""
    deploy_key: str | None
    """Public key that lets the deploy hosts read the repository; None for one that they do not fetch."""
    ci: CiArgs
    """What its CI gets if it deploys the estate."""
    existing: Mapping[Part, str]
    """Parts to take over → their ids."""


class Repository(pulumi.ComponentResource):
    """A repository on GitHub.

    Never deleted there: it is protected in the state, and left as it is once it is let go. What guards it is left as
    well; what opens it to others goes: hooks, deploy key, and environments with their secrets.
    """

    url: pulumi.Output[str]
    """Its page."""

    def __init__(self, name: str, args: RepositoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the repository."""
        settings = args.settings
        renamed = pulumi.ResourceOptions(aliases=[pulumi.Alias(name=settings.formerly)] if settings.formerly else None)
        super().__init__("carica:repository:Repository", name, None, pulumi.ResourceOptions.merge(opts, renamed))

        parts = Parts(name=name, formerly=settings.formerly, existing=args.existing)

        def child(kind: type[pulumi.CustomResource], which: str = "", **options: Any) -> pulumi.ResourceOptions:
            return parts.options(kind, which, parent=self, **options)

        merge = settings.merge
        # What GitHub answers for a way of merging that is closed is its own, and the plugin sends nothing for it.
        ignored = ["autoInit"]
        ignored += [] if merge.commit else ["mergeCommitTitle", "mergeCommitMessage"]
        ignored += [] if merge.squash else ["squashMergeCommitTitle", "squashMergeCommitMessage"]
        status = "enabled" if settings.scans_secrets else "disabled"
        repository = github.Repository(
            name,
            name=settings.name,
            description=settings.description,
            homepage_url=settings.homepage,
            topics=list(settings.topics),
            visibility=settings.visibility,
            has_issues=settings.issues,
            has_projects=settings.projects,
            has_wiki=settings.wiki,
            allow_squash_merge=merge.squash,
            allow_merge_commit=merge.commit,
            allow_rebase_merge=merge.rebase,
            allow_auto_merge=merge.auto,
            allow_update_branch=merge.update,
            delete_branch_on_merge=merge.delete_branch,
            squash_merge_commit_title="PR_TITLE" if merge.squash else None,
            squash_merge_commit_message="PR_BODY" if merge.squash else None,
            security_and_analysis=github.RepositorySecurityAndAnalysisArgs(
                secret_scanning=github.RepositorySecurityAndAnalysisSecretScanningArgs(status=status),
                secret_scanning_push_protection=github.RepositorySecurityAndAnalysisSecretScanningPushProtectionArgs(
                    status=status
                ),
            )
            if settings.scans_secrets is not None
            else None,
            auto_init=True,  # a branch to protect, to check out and to open pull requests against
            opts=child(github.Repository, protect=True, retain_on_delete=True, ignore_changes=ignored),
        )

        # Settings stay when the stack lets the repository go. A replacement, as after a rename, must not undo what it
        # has just done either: the old name leads to the same repository. They are set anew in a repository that
        # somebody deleted and that was made again: the plugin does not notice by itself that they are gone.
        guarding: dict[str, Any] = {"retain_on_delete": True, "replacement_trigger": repository.node_id}
        default_branch = github.BranchDefault(
            parts.name_of(github.BranchDefault),
            repository=repository.name,
            branch=args.branch,
            # A new repository's first branch is called what the owner's settings say; one that is there is kept.
            rename=not settings.adopt,
            opts=child(github.BranchDefault, ignore_changes=["rename"], **guarding),
        )
        github.RepositoryVulnerabilityAlerts(
            parts.name_of(github.RepositoryVulnerabilityAlerts),
            repository=repository.name,
            enabled=settings.vulnerability_alerts,
            opts=child(github.RepositoryVulnerabilityAlerts, **guarding),
        )
        github.ActionsRepositoryPermissions(
            parts.name_of(github.ActionsRepositoryPermissions),
            repository=repository.name,
            allowed_actions="selected",
            allowed_actions_config=github.ActionsRepositoryPermissionsAllowedActionsConfigArgs(
                github_owned_allowed=True, verified_allowed=False, patterns_alloweds=list(settings.actions) or NO_OTHERS
            ),
            sha_pinning_required=settings.pinned_actions or None,  # the plugin never sends `no`
            opts=child(github.ActionsRepositoryPermissions, **guarding),
        )
        github.WorkflowRepositoryPermissions(
            parts.name_of(github.WorkflowRepositoryPermissions),
            repository=repository.name,
            default_workflow_permissions="read",
            can_approve_pull_request_reviews=False,
            opts=child(github.WorkflowRepositoryPermissions, **guarding),
        )
        if settings.ruleset:
            github.RepositoryRuleset(
                parts.name_of(github.RepositoryRuleset),
                name=RULESET,
                repository=repository.name,
                target="branch",
                enforcement="active",
                conditions=github.RepositoryRulesetConditionsArgs(
                    ref_name=github.RepositoryRulesetConditionsRefNameArgs(includes=["~DEFAULT_BRANCH"], excludes=[])
                ),
                rules=_rules(settings),
                bypass_actors=[github.RepositoryRulesetBypassActorArgs(actor_type="DeployKey", bypass_mode="always")]
                if settings.deploy_keys_bypass
                else None,
                opts=child(
                    github.RepositoryRuleset,
                    depends_on=[default_branch],  # no rule stands in the way of its getting its name
                    deleted_with=repository,
                ),
            )

        # GitHub refuses a second one with the same address, or the same key: after a rename the old one goes first.
        opening = {"delete_before_replace": True}
        urls = pulumi.Output.from_input(args.hook_urls)
        for flow, events in settings.hooks.items():
            github.RepositoryWebhook(
                parts.name_of(github.RepositoryWebhook, flow),
                repository=repository.name,
                events=list(events),
                configuration=github.RepositoryWebhookConfigurationArgs(
                    url=urls[flow], secret=args.hook_secret, content_type="json", insecure_ssl=False
                ),
                opts=child(
                    github.RepositoryWebhook,
                    flow,
                    depends_on=list(args.hooks_after),
                    additional_secret_outputs=["configuration"],
                    **opening,
                ),
            )
        if args.deploy_key:
            # Called after the key: a new one is there before the old one goes, and no deployment falls in between.
            which = key_name(args.deploy_key)
            github.RepositoryDeployKey(
                parts.name_of(github.RepositoryDeployKey, which),
                repository=repository.name,
                title=DEPLOY_KEY,
                key=args.deploy_key,
                read_only=True,
                # The same key that somebody added under another title does as well, and cannot be given ours.
                opts=child(github.RepositoryDeployKey, which, ignore_changes=["title"], **opening),
            )
        if settings.ci:
            for environment in settings.ci.environments:
                deploying = environment == DEPLOYING
                within = parts.of_environment(environment)
                reviewed = deploying or settings.ci.review_previews
                Environment(
                    within.name,
                    EnvironmentArgs(
                        repository=repository.name,
                        environment=environment,
                        branch=args.branch if deploying else None,
                        reviewers=args.ci.reviewers if reviewed else Reviewers(),
                        secrets=args.ci.secrets,
                        variables=args.ci.variables,
                        admins_bypass=args.ci.admins_bypass,
                        parts=within,
                    ),
                    pulumi.ResourceOptions(
                        parent=self, aliases=[pulumi.Alias(name=within.formerly)] if within.formerly else None
                    ),
                )

        self.url = repository.html_url
        self.register_outputs({"url": self.url})


def _rules(settings: GitHubRepository) -> github.RepositoryRulesetRulesArgs:
    """Return the rules for the default branch."""
    ways = {"merge": settings.merge.commit, "squash": settings.merge.squash, "rebase": settings.merge.rebase}
    return github.RepositoryRulesetRulesArgs(
        deletion=True,
        non_fast_forward=True,
        pull_request=github.RepositoryRulesetRulesPullRequestArgs(
            required_approving_review_count=settings.approvals,
            dismiss_stale_reviews_on_push=True,
            required_review_thread_resolution=True,
            allowed_merge_methods=[way for way, is_open in ways.items() if is_open],
        )
        if settings.pull_requests
        else None,
        required_status_checks=github.RepositoryRulesetRulesRequiredStatusChecksArgs(
            required_checks=[
                github.RepositoryRulesetRulesRequiredStatusChecksRequiredCheckArgs(context=check)
                for check in settings.required_checks
            ],
            strict_required_status_checks_policy=True,
        )
        if settings.required_checks
        else None,
    )
