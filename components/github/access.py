"""What GitHub says before anything is declared: that the log-in is good enough, and what is there already."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pulumi
import pulumi.runtime
import pulumi_github as github
import tenacity

from components.github import permissions
from components.github.api import GitHub, Refusal, permissions_page
from components.github.environments import watch
from components.github.inventory import existing
from components.github.parts import Part, Parts, Reviewers, key_name
from components.settings import GitHubRepository, Settings, SettingsError, problem, secret

AT_ONCE = 8
"""How many calls are made at a time."""
EXPIRY_DAYS = 14
"""A token that ends sooner is warned of."""

State = Mapping[Part, Mapping[str, Any]]
"""What is in the stack's state: part → its outputs."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there."""

    existing: Mapping[Part, str] = field(default_factory=dict)
    """Parts that GitHub has and the stack's state has not → the ids they are imported by."""
    reviewers: Reviewers = field(default_factory=Reviewers)
    """Who approves deployments."""


def provider(settings: Settings) -> github.Provider | None:
    """Declare how Pulumi's GitHub plugin logs in. All is said, as it would look for the rest in the environment.

    None for a stack that asks GitHub nothing: it needs no log-in.
    """
    if not settings.repositories and not settings.hooks_from_github_only:
        return None
    app, key, token = settings.github_app, settings.github_app_key, settings.github_token
    api = urlsplit(settings.github_api)
    return github.Provider(
        "github",
        owner=settings.github_owner,
        token=secret(token) if token else "",
        app_auth=github.ProviderAppAuthArgs(id=app.id, installation_id=app.installation_id, pem_file=secret(key))
        if app and key
        else None,
        base_url=f"{api.scheme}://{api.netloc}/",  # the plugin adds an Enterprise server's path by itself
        write_delay_ms=settings.github_write_delay,
    )


def hook_addresses(settings: Settings, provider: pulumi.ProviderResource | None) -> pulumi.Output[Sequence[str]] | None:
    """Return the networks that GitHub sends webhooks from, as it says now; None where the stack takes them from any."""
    if not settings.hooks_from_github_only:
        return None
    return github.get_ip_ranges_output(opts=pulumi.InvokeOptions(provider=provider)).apply(lambda said: said.hooks)


def look(settings: Settings) -> Found:
    """Ask GitHub, in few calls, for all that would make `up` fail, and what is there of what is to be adopted.

    Raises SettingsError with every problem, each with its setting and what mends it.
    """
    return compare(settings, _state()) if settings.repositories else Found()


def _state() -> State:
    """Return everything in the stack's state.

    The engine's own function; Pulumi's SDK for Node.js calls it `listResourceOutputs`, Python's has no name for it.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    # A state in files is not written in one go: the engine, which is at work already, may be at it (seen as "EOF").
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(20),
        wait=tenacity.wait_fixed(0.1),
        retry=tenacity.retry_if_exception_message(match="(?s).*EOF"),
        reraise=True,
    )
    state = retrying(pulumi.runtime.invoke, "pulumi:pulumi:readStackResourceOutputs", {"stackName": stack}).value
    parts = {urn: urn.split("::", 3)[2:] for urn in state["outputs"]}
    return {(kind.rpartition("$")[2], name): state["outputs"][urn]["outputs"] for urn, (kind, name) in parts.items()}


def compare(settings: Settings, state: State, transport: httpx.BaseTransport | None = None) -> Found:
    """Do what `look` does for a stack with that state."""
    try:
        with closing(GitHub(settings, transport)) as client:
            client.log_in()
            # Alone and first: a log-in that is no good is said once.
            owner = client.get(f"/users/{settings.github_owner}")
            if owner.status_code == 404:
                raise Refusal("githubOwner", f"is {settings.github_owner}, whom {settings.github_url} does not know")
            _warn_of_expiry(owner)
            return _look(settings, state, client)
    except Refusal as refused:
        raise _error([refused]) from None


def _look(settings: Settings, state: State, client: GitHub) -> Found:
    count = len(settings.repositories)
    known = _together(
        *(partial(_current_name, settings, state, client, number) for number in range(count)),
        *(partial(_reviewer, client, path, name) for path, name in _reviewers(settings)),
    )
    there = [(each, name) for each, name in zip(settings.repositories, known[:count], strict=True) if name]
    warnings: list[str] = []
    results = _together(
        *(partial(existing, settings, state, client, *each, warnings.append) for each in there),
        *(partial(watch, settings, state, client, *each, warnings.append) for each in there if each[0].ci),
        *permissions.checks(settings, client, there[0][1] if there else None),
    )
    for warning in warnings:
        pulumi.log.warn(warning)
    reviewers = known[count:]
    return Found(
        existing={part: id_ for parts in results[: len(there)] for part, id_ in parts.items()},
        reviewers=Reviewers(
            users=tuple(number for kind, number in reviewers if kind == "user"),
            teams=tuple(number for kind, number in reviewers if kind == "team"),
        ),
    )


def _together(*calls: Callable[[], Any]) -> list[Any]:
    """Return what the calls return; raises SettingsError with all of their refusals."""
    refusals, results = [], []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [pool.submit(call) for call in calls]:
            try:
                results.append(future.result())
            except Refusal as refused:
                refusals.append(refused)
    if refusals:
        raise _error(refusals)
    return results


def _error(refusals: list[Refusal]) -> SettingsError:
    problems = dict.fromkeys(problem(each.key, each.fault, mend=each.mend) for each in refusals)
    return SettingsError(list(problems), "the stack's way to GitHub has")


def _current_name(settings: Settings, state: State, client: GitHub, number: int) -> str | None:
    """Return the name that a repository has on GitHub now; None if it is not there, and will be created."""
    declared, path = settings.repositories[number], f"repositories[{number}]"
    parts = Parts(name=declared.name, formerly=declared.formerly)
    ours = parts.known(github.Repository, "", state) is not None
    _expect_a_key_that_is_free(settings, state, declared)
    known = [name for name in (declared.name, declared.formerly) if name]
    for name in known:
        answer = client.get(f"/repos/{settings.github_owner}/{name}")
        if answer.status_code != 404:
            break
    else:
        if ours or declared.adopt:
            fault = (
                f"is {declared.name}, which GitHub does not show (404): deleted, renamed, or the log-in may not see it"
            )
            see = f"give the log-in access, at {permissions_page(settings)}"
            gone = "if it is gone: pulumi refresh" if ours else f"if there is none: leave {path}.adopt out"
            raise Refusal(f"{path}.name", fault, f"{see}; {gone}")
        if declared.formerly:
            fault = f"is {declared.formerly}, and there is no such repository, nor {declared.name}: nothing to rename"
            raise Refusal(f"{path}.formerly", fault, "correct it; a new repository has none")
        return None
    there = answer.json()
    owner = there["full_name"].partition("/")[0]
    if owner.lower() != str(settings.github_owner).lower():
        fault = f"is {declared.name}, which was handed over and is {there['full_name']} now"
        raise Refusal(f"{path}.name", fault, "have it handed back, or take it off the list")
    if there["name"].lower() not in [name.lower() for name in known]:
        fault = f"is {declared.name}, which was renamed on GitHub to {there['name']}"
        mend = f"set name to {there['name']} and formerly to {declared.name}"
        raise Refusal(f"{path}.name", fault, mend)
    if there["archived"]:
        fault = f"is {declared.name}, which is archived: nothing of it can be changed"
        raise Refusal(f"{path}.name", fault, f"unarchive it at {there['html_url']}/settings")
    if not ours and not declared.adopt:
        raise Refusal(f"{path}.adopt", f"is not set, and {there['full_name']} exists already")
    if "allow_squash_merge" not in there:
        key = "githubApp" if settings.github_app else "githubToken"
        fault = "lacks the permission contents=write: without it GitHub does not show how pull requests may be merged"
        raise Refusal(key, fault, permissions.mend(settings))
    if not settings.github_app and not there.get("permissions", {}).get("admin", True):
        fault = (
            "may not administer every repository: it lacks the permission administration, or its owner does not either"
        )
        raise Refusal("githubToken", fault, permissions.mend(settings))
    branch, default = settings.branch_of(declared), there["default_branch"]
    branches = f"/repos/{there['full_name']}/branches"
    # Of a repository that is adopted no branch is renamed: it must be there to become the default one.
    if not ours and default != branch and client.get(f"{branches}/{branch}").status_code == 404:
        fault = f"is {branch}, which {there['full_name']} has not: its default branch is {default}"
        raise Refusal(f"{path}.defaultBranch", fault, f"make it, or rename {default}, at {there['html_url']}/branches")
    return str(there["name"])


def _expect_a_key_that_is_free(settings: Settings, state: State, declared: GitHubRepository) -> None:
    """See to it that no other repository of the stack has the deploy key: GitHub takes a key once."""
    key = settings.deploy_key_of(declared)
    names = {declared.name, declared.formerly}
    kind, _ = Parts(name="").part(github.RepositoryDeployKey)
    taken = [name for of, name in state if of == kind and key and name.endswith(f"-deploy-key-{key_name(key)}")]
    for other in (name.rpartition("-deploy-key-")[0] for name in taken):
        if other not in names:
            raise Refusal(
                "deployGitKey", f"lets in to {other}, and now {declared.name} is deployed: it takes a new key"
            )


def _reviewers(settings: Settings) -> list[tuple[str, str]]:
    """Return setting and name of each who is to approve deployments."""
    return [
        (f"repositories[{number}].ci.reviewers[{which}]", name)
        for number, each in enumerate(settings.repositories)
        if each.ci
        for which, name in enumerate(each.ci.reviewers)
    ]


def _reviewer(client: GitHub, path: str, name: str) -> tuple[str, int]:
    """Return GitHub's number for a user, or for a team written as owner/team."""
    owner, _, team = name.partition("/")
    answer = client.get(f"/orgs/{owner}/teams/{team}" if team else f"/users/{name}")
    if answer.status_code == 404 or (not team and answer.json().get("type") != "User"):
        what = "team the log-in may see (that takes the organisation's permission members: read)" if team else "user"
        raise Refusal(path, f"is {name}, and GitHub knows no such {what}")
    return ("team" if team else "user"), int(answer.json()["id"])


def _warn_of_expiry(answer: httpx.Response) -> None:
    """Warn of a token that ends soon; GitHub writes its end as `2026-12-01 08:00:00 UTC`, or with an offset."""
    text = answer.headers.get("GitHub-Authentication-Token-Expiration", "").replace(" UTC", "+00:00")
    try:
        left = datetime.datetime.fromisoformat(text) - datetime.datetime.now(datetime.UTC)
    except (ValueError, TypeError):
        return  # it does not end, or says so in words nobody has seen yet
    if left.days < EXPIRY_DAYS:
        pulumi.log.warn(problem("githubToken", f"expires in {max(left.days, 0)} days").strip())
