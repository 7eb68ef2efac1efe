"""One GitHub repository as a stack declares it, and what the plan of its owner allows."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator

from components.settings import flows
from components.settings.values import (
    ActionPattern,
    Branch,
    Check,
    Fault,
    HomePage,
    Line,
    Model,
    RepositoryName,
    Reviewer,
    Topic,
    each_once,
    refused,
)

Plan = Literal["free", "pro", "team", "enterprise"]
PLANS: tuple[Plan, ...] = ("free", "pro", "team", "enterprise")

PAID: dict[str, tuple[Plan, ...]] = {
    "ruleset": PLANS[1:],
    "wiki": PLANS[1:],
    "auto": PLANS[1:],
    "ci": PLANS[1:],
    "secret_scanning": PLANS[2:],
    "reviewers": PLANS[3:],
    "actions": PLANS[3:],
}
"""What GitHub gives to a repository that is not public only with certain plans. A public one has all of it."""


DEPLOYING = "prod"
"""The environment of the CI that runs `up`."""


def _flow(name: str) -> str:
    """A flow that a webhook can start."""
    started = [flow for flow in flows.names() if flows.events(flow)]
    if name in flows.names() and name not in started:
        raise ValueError("is a flow that is started by hand: no webhook starts it")
    if name not in started:
        raise ValueError(f"is no flow (a webhook starts {', '.join(started)})")
    return name


class Merge(Model):
    """How pull requests get into the default branch; at least one way must be open."""

    squash: bool = True
    """As one commit, with the pull request's title and text."""
    commit: bool = False
    """By a merge commit."""
    rebase: bool = False
    """By moving its commits to the branch's end."""
    auto: bool = False
    """Offer to merge once everything required is there."""
    update: bool = True
    """Offer to bring a pull request's branch up to date."""
    delete_branch: bool = True
    """Delete a pull request's branch once it is merged."""

    @field_validator("rebase")
    @classmethod
    def _one_way_is_open(cls, rebase: bool, info: ValidationInfo) -> bool:
        if not (rebase or info.data.get("squash", True) or info.data.get("commit", True)):
            raise ValueError("is false, and so are squash and commit: nothing could be merged")
        return rebase

    model_config = ConfigDict(validate_default=True)


class Ci(Model):
    """What the CI that runs `up` gets: the environment `prod`, and `preview` for pull requests."""

    reviewers: Annotated[tuple[Reviewer, ...], Field(max_length=6), AfterValidator(each_once)] = ()
    """Who approves each deployment: users' names, and owner/team. None: a merge deploys."""
    preview: bool = True
    """Also an environment `preview` with the same secrets, for branches: whoever can push a branch can read them."""
    review_previews: bool = False
    """The reviewers approve previews too."""

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments' names; the first is the one that deploys."""
        return (DEPLOYING, "preview") if self.preview else (DEPLOYING,)


class GitHubRepository(Model):
    """A repository, its settings, and what happens to it."""

    model_config = ConfigDict(validate_default=True)

    name: RepositoryName
    """Its name, without the owner."""
    formerly: RepositoryName | None = None
    """The name it had, to rename it; may stay until the next rename."""
    adopt: bool = False
    """It exists already: take it over as it is, then make it as declared."""
    description: Annotated[Line, Field(max_length=350)] = ""
    """One line."""
    homepage: HomePage = ""
    """Address of a page about it."""
    topics: Annotated[tuple[Topic, ...], Field(max_length=20), AfterValidator(each_once)] = ()
    """Words it is found by."""
    visibility: Literal["public", "private", "internal"] = "private"
    """Who sees it."""
    default_branch: Branch | None = None
    """The branch everything is about, if not the stack's."""
    issues: bool = True
    """It has issues."""
    projects: bool = False
    """It has projects."""
    wiki: bool = False
    """It has a wiki."""
    merge: Merge = Merge()
    """How pull requests get into the default branch."""
    ruleset: bool = True
    """Protect the default branch: no force push, no deletion, and what the next three say."""
    pull_requests: bool = True
    """Changes get to the default branch through pull requests only."""
    approvals: Annotated[int, Field(ge=0, le=10)] = 1
    """How many people must approve one."""
    required_checks: Annotated[tuple[Check, ...], AfterValidator(each_once)] = ()
    """Checks that must have passed before."""
    deploy_keys_bypass: bool = False
    """Writable deploy keys may push past the ruleset. The desk has none: for other machinery of yours."""
    vulnerability_alerts: bool = True
    """Dependabot's alerts."""
    secret_scanning: bool | None = None
    """Scan for secrets and refuse pushes with one; on for a public repository if not said otherwise."""
    actions: Annotated[tuple[ActionPattern, ...], AfterValidator(each_once)] = ()
    """Actions its workflows may use besides GitHub's own, such as docker/*."""
    pinned_actions: bool = False
    """Actions must be named by commit, not by tag. What is on is taken back on GitHub's page only."""
    hooks: dict[Annotated[str, AfterValidator(_flow)], tuple[str, ...]] = Field(default={})
    """Which flows its events start: flow → events."""
    ci: Ci | None = None
    """CI deploys the estate from here."""

    @field_validator("formerly")
    @classmethod
    def _another_name(cls, formerly: str | None, info: ValidationInfo) -> str | None:
        if formerly and formerly == info.data.get("name"):
            raise ValueError("is its name now: it says what the name was")
        return formerly

    @field_validator("visibility")
    @classmethod
    def _internal_needs_an_enterprise(cls, visibility: str, info: ValidationInfo) -> str:
        if visibility == "internal" and _plan(info) not in (None, "enterprise"):
            raise ValueError(f"is internal, which only an enterprise has (githubPlan is {_plan(info)})")
        return visibility

    @field_validator("ruleset", "wiki", "merge", "secret_scanning", "actions", "ci")
    @classmethod
    def _plan_has_it(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = {"": str(info.field_name)} if value is True or (isinstance(value, Ci | tuple) and value) else {}
        if isinstance(value, Ci) and value.reviewers:
            wanted[".reviewers"] = "reviewers"
        if isinstance(value, Merge) and value.auto:
            wanted[".auto"] = "auto"
        remove = isinstance(value, tuple)
        visibility, plan = info.data.get("visibility", "public"), _plan(info)
        faults = [
            Fault(path, f"takes the plan {' or '.join(PAID[feature])} if {visibility}; githubPlan is {plan}", remove)
            for path, feature in wanted.items()
            if visibility != "public" and plan not in (None, *PAID[feature])
        ]
        if faults:
            raise refused(*faults)
        return value

    @field_validator("required_checks")
    @classmethod
    def _checks_need_a_ruleset(cls, checks: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if checks and info.data.get("ruleset") is False:
            raise refused(Fault("", "is set, and ruleset is false: nothing would require the checks", remove=True))
        return checks

    @field_validator("hooks")
    @classmethod
    def _events_fit_the_flow(
        cls, hooks: dict[str, tuple[str, ...]], info: ValidationInfo
    ) -> dict[str, tuple[str, ...]]:
        faults, started = [], dict[str, str]()
        for flow, events in hooks.items():
            wanted = ", ".join(flows.events(flow))
            faults += [
                Fault(f".{flow}[{number}]", f"is {event}, which does not start this flow: it wants {wanted}")
                for number, event in enumerate(events)
                if event not in flows.events(flow)
            ]
            if not events:
                faults.append(Fault(f".{flow}[0]", f"is not set: the flow wants {wanted}"))
            # The hooks' deliveries are one and the same body: the edge would take the second for the first once more.
            faults += [
                Fault(f".{flow}", f"is started by {event}, and so is {started[event]}: one event starts one flow", True)
                for event in events
                if event in started
            ]
            started |= dict.fromkeys(events, flow)
        if faults:
            raise refused(*faults)
        return hooks

    @property
    def scans_secrets(self) -> bool | None:
        """Whether it is scanned for secrets; None where that is not ours to say."""
        return True if self.secret_scanning is None and self.visibility == "public" else self.secret_scanning


def _plan(info: ValidationInfo) -> str | None:
    """Return the plan of the stack that is being checked; None when it is none of GitHub's, which is said elsewhere."""
    plan = (info.context or {}).get("plan")
    return plan if plan in PLANS else None
