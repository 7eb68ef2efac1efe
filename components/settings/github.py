"""What a stack says about GitHub: whose repositories, which, and how they are reached."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from components.settings import flows
from components.settings.repositories import PAID, GitHubRepository, Plan
from components.settings.values import (
    Address,
    AppKey,
    Branch,
    Fault,
    Model,
    Owner,
    Token,
    matching,
    refused,
)

HOST = "github.com"
HOST_KEYS = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5"
    "N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
)
"""The keys github.com publishes: SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU and
SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM."""

NOBODY = "-"
"""What the flows compare a repository with when none starts them: no repository is named like it."""

ONE_EACH = ("gh_push_deployment", "sync_from_git")
"""Flows that are about one repository."""


class App(Model):
    """A GitHub App, installed for the owner of the repositories."""

    id: Annotated[str, Field(coerce_numbers_to_str=True), matching(r"[A-Za-z0-9.]+", "is not an App's id or client id")]
    """Its id, or client id."""
    installation_id: Annotated[str, Field(coerce_numbers_to_str=True), matching(r"[0-9]+", "is not a number")]
    """The number at the end of its installation's address."""


class GitHubSettings(Model):
    """The part of the settings that is about flows and GitHub."""

    flows: Annotated[tuple[str, ...], Field(validate_default=True)] = ()
    default_branch: Branch = "main"
    image_workflow: Annotated[str, matching(r"\S(.*\S)?", "is not the name of a workflow")]

    github_url: Address = f"https://{HOST}"
    github_plan: Plan = "free"
    github_write_delay: Annotated[int, Field(ge=0, le=60_000)] = 1000
    repositories: tuple[GitHubRepository, ...] = ()
    github_owner: Annotated[Owner | None, Field(validate_default=True)] = None
    github_app: App | None = None
    github_app_key: Annotated[AppKey | None, Field(validate_default=True)] = None
    github_token: Annotated[Token | None, Field(validate_default=True)] = None

    git_url: Annotated[
        str,
        matching(
            r"(https://[^\s@]*[^\s@/]|http://[a-z0-9-]+(:[0-9]+)?)?",
            "is not an https:// address without a log-in and a final / (http:// only for a name without a dot)",
        ),
    ] = ""
    kestra_git_token: Annotated[Token | None, Field(validate_default=True)] = None
    kestra_status_token: Token | None = None

    @property
    def github_api(self) -> str:
        """The address of GitHub's REST API, without a final slash."""
        return _api(self.github_url)

    @property
    def flow_repositories(self) -> dict[str, str]:
        """What flows read as `envs.name` about GitHub and its repositories."""
        return {
            "deploy_repository": ",".join(self.starting("gh_push_deployment")) or NOBODY,
            "flows_repository": ",".join(self.starting("sync_from_git")) or NOBODY,
            "image_repositories": ",".join(self.starting("gh_workflow_completed")) or NOBODY,
            "image_workflow": self.image_workflow,
            "git_url": self.git_url or self.github_url,
            "github_api": _api(self.git_url or self.github_url),
            "github_status": "true" if self.kestra_status_token else "false",
            "default_branch": self.default_branch,
        }

    def has(self, repository: GitHubRepository, feature: str) -> bool:
        """Tell whether the owner's plan has one of the features that cost something for `repository`."""
        return repository.visibility == "public" or self.github_plan in PAID[feature]

    def starting(self, flow: str) -> list[str]:
        """Return owner/name of the repositories whose events start `flow`."""
        return [f"{self.github_owner}/{each.name}" for each in self.repositories if flow in each.hooks]

    def branch_of(self, repository: GitHubRepository) -> str:
        """Return the default branch of `repository`."""
        return repository.default_branch or self.default_branch

    @field_validator("flows")
    @classmethod
    def _flows_exist(cls, chosen: tuple[str, ...]) -> tuple[str, ...]:
        known = flows.names()
        if unknown := [flow for flow in chosen if flow not in known]:
            raise ValueError(f"names {', '.join(unknown)}, which is not in flows/ (there are: {', '.join(known)})")
        for flow in chosen:
            if missing := sorted(flows.calls(flow) - set(chosen)):
                raise ValueError(f"names {flow} and not {', '.join(missing)}, which it calls")
        return chosen or tuple(known)

    @field_validator("repositories")
    @classmethod
    def _fit_together(cls, listed: tuple[GitHubRepository, ...], info: ValidationInfo) -> tuple[GitHubRepository, ...]:
        faults = [*_clashes(listed), *_branches(listed, info.data.get("default_branch"))]
        if listed and "flows" in info.data:
            faults += _hooks(listed, info.data["flows"])
        if faults:
            raise refused(*faults)
        return listed

    @field_validator("github_owner")
    @classmethod
    def _repositories_have_an_owner(cls, owner: str | None, info: ValidationInfo) -> str | None:
        if not owner and info.data.get("repositories"):
            raise ValueError("is not set: it owns the repositories")
        return owner

    @field_validator("github_app_key")
    @classmethod
    def _app_and_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key and not info.data.get("github_app", True):
            raise refused(Fault("", "is set, and githubApp is not: whose key is it?", remove=True))
        if not key and info.data.get("github_app"):
            raise ValueError("is not set: githubApp logs in with it")
        return key

    @field_validator("github_token")
    @classmethod
    def _token_or_app(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if token and info.data.get("github_app"):
            raise refused(Fault("", "is set, and so is githubApp: keep one of the two", remove=True))
        if not token and info.data.get("repositories") and not info.data.get("github_app", True):
            raise ValueError("is not set: the repositories are administered with it, or with githubApp")
        return token

    @field_validator("kestra_git_token")
    @classmethod
    def _kestra_reads_flows(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if not token and any("sync_from_git" in each.hooks for each in info.data.get("repositories", ())):
            raise ValueError("is not set: sync_from_git and push_to_git read and push with it")
        return token


def _api(url: str) -> str:
    """Return the address of the REST API of the GitHub at `url`, without a final slash."""
    host = urlsplit(url).netloc
    return f"https://api.{host}" if host == HOST or host.endswith(".ghe.com") else f"{url}/api/v3"


def _clashes(listed: tuple[GitHubRepository, ...]) -> list[Fault]:
    """Return what is wrong with the names, and with who deploys."""
    faults = []
    names = [each.name.lower() for each in listed]
    deploying = [number for number, each in enumerate(listed) if each.ci]
    for number, each in enumerate(listed):
        if names[number] in names[:number]:
            faults.append(Fault(f"[{number}].name", f"is {each.name}, which the list has already"))
        others = names[:number] + names[number + 1 :]
        if each.formerly and each.formerly.lower() in others:
            faults.append(Fault(f"[{number}].formerly", f"is {each.formerly}, which is another one in the list"))
        if number in deploying[1:]:
            first = listed[deploying[0]].name
            faults.append(Fault(f"[{number}].ci", f"is set, and {first} has it: one deploys the estate", remove=True))
    return faults


def _branches(listed: tuple[GitHubRepository, ...], branch: str | None) -> list[Fault]:
    """Return where the default branch is not the one that flows look at."""
    return [
        Fault(f"[{number}].defaultBranch", f"is {each.default_branch}, and the flows it starts look at {branch} only")
        for number, each in enumerate(listed)
        if each.hooks and branch and each.default_branch not in (None, branch)
    ]


def _hooks(listed: tuple[GitHubRepository, ...], loaded: tuple[str, ...]) -> list[Fault]:
    """Return what is wrong with which repository starts which of the `loaded` flows."""
    faults = []
    for flow in flows.names():
        starting = [f"[{number}].hooks.{flow}" for number, each in enumerate(listed) if flow in each.hooks]
        if flow not in loaded:
            said = "is not a flow of this stack: the setting `flows` leaves it out"
            faults += [Fault(path, said, remove=True) for path in starting]
        elif flows.events(flow) and not starting:
            said = "is not set for any repository N: nothing would start the flow"
            faults.append(Fault(f"[N].hooks.{flow}[0]", said))
        elif flow in ONE_EACH:
            said = "is set, and an earlier repository has it: one starts the flow"
            faults += [Fault(path, said, remove=True) for path in starting[1:]]
    return faults
