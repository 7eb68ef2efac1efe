"""What GitHub says before anything is declared: that the log-in is good enough, and what is there already."""

import datetime
import time
from collections.abc import Callable
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

from components.environment import Reviewers
from components.github.adoption import Existing, Part, part
from components.github.api import GitHub, Refusal, permissions_page
from components.github.inventory import existing
from components.settings import Settings, SettingsError, problem, secret

AT_ONCE = 8
"""How many calls are made at a time."""
EXPIRY_DAYS = 14
"""A token that ends sooner is warned of."""
PERMISSIONS = {"administration": "write", "contents": "write", "repository_hooks": "write"}
"""What the log-in must be allowed, in GitHub's words for Apps; README says why."""
CI_PERMISSIONS = {"actions": "read", "environments": "write"}
"""What it must be allowed besides where a repository has ci."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there."""

    existing: Existing = field(default_factory=dict)
    """Parts of repositories to adopt that GitHub has and the stack's state has not."""
    reviewers: Reviewers = field(default_factory=Reviewers)
    """Who approves deployments."""


def provider(settings: Settings) -> github.Provider | None:
    """Declare how Pulumi's GitHub plugin logs in. All is said, as it would look for the rest in the environment.

    None for a stack without repositories: it needs no log-in.
    """
    if not settings.repositories:
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


def look(settings: Settings) -> Found:
    """Ask GitHub, in few calls, for all that would make `up` fail, and what is there of what is to be adopted.

    Raises SettingsError with every problem, each with its setting and what mends it.
    """
    return inspect(settings, _managed()) if settings.repositories else Found()


def _managed() -> frozenset[Part]:
    """Return type and name of everything in the stack's state.

    The engine's own function; Pulumi's SDK for Node.js calls it `listResourceOutputs`, Python's has no name for it.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    # A state in files is not written in one go: the engine, which is at work already, may be at it (seen as "EOF").
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(20), wait=tenacity.wait_fixed(0.1), reraise=True, sleep=time.sleep
    )
    state = retrying(pulumi.runtime.invoke, "pulumi:pulumi:readStackResourceOutputs", {"stackName": stack}).value
    parts = (urn.split("::", 3)[2:] for urn in state["outputs"])
    return frozenset((kind.rpartition("$")[2], name) for kind, name in parts)


def inspect(settings: Settings, managed: frozenset[Part], transport: httpx.BaseTransport | None = None) -> Found:
    """Do what `look` does for a stack whose state holds `managed`."""
    try:
        with closing(GitHub(settings, transport)) as client:
            # Alone and first: a log-in that is no good is said once.
            owner = client.get(f"/users/{settings.github_owner}")
            if owner.status_code == 404:
                raise Refusal("githubOwner", f"is {settings.github_owner}, whom {settings.github_url} does not know")
            _warn_of_expiry(owner)
            return _look(settings, managed, client)
    except Refusal as refused:
        raise _error([refused]) from None


def _look(settings: Settings, managed: frozenset[Part], client: GitHub) -> Found:
    count = len(settings.repositories)
    known = _together(
        *(partial(_name, settings, managed, client, number) for number in range(count)),
        *(partial(_reviewer, client, path, name) for path, name in _reviewers(settings)),
    )
    names, reviewers = known[:count], known[count:]
    warnings: list[str] = []
    _, *adopted = _together(
        partial(_allowed, settings, client, next(filter(None, names), None)),
        *(
            partial(existing, settings, managed, client, each, name, warnings.append)
            for each, name in zip(settings.repositories, names, strict=True)
            if each.adopt and name
        ),
    )
    for warning in warnings:
        pulumi.log.warn(warning)
    return Found(
        existing={part: id_ for parts in adopted for part, id_ in parts.items()},
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


def _name(settings: Settings, managed: frozenset[Part], client: GitHub, number: int) -> str | None:
    """Return the name that a repository has on GitHub now; None if it is not there, and will be created."""
    declared, path = settings.repositories[number], f"repositories[{number}]"
    known = [name for name in (declared.name, declared.formerly) if name]
    ours = any(part(github.Repository, name) in managed for name in known)
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
        return None
    there = answer.json()
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
        raise Refusal(key, fault, _give(settings))
    if not settings.github_app and not there.get("permissions", {}).get("admin", True):
        fault = (
            "may not administer every repository: it lacks the permission administration, or its owner does not either"
        )
        raise Refusal("githubToken", fault, _give(settings))
    return str(there["name"])


def _allowed(settings: Settings, client: GitHub, name: str | None) -> None:
    """See to it that the log-in is allowed what it must do; raises Refusal.

    An App's installation says what it may do. So does a classic token. A fine-grained one is asked to read, with a
    repository that is there: GitHub tells nobody whether it may write.
    """
    wanted = PERMISSIONS | (CI_PERMISSIONS if any(each.ci for each in settings.repositories) else {})
    mend = _give(settings)
    if client.granted is not None:
        lacking = [
            f"{what}: {level}" for what, level in wanted.items() if client.granted.get(what) not in (level, "write")
        ]
        if lacking:
            raise Refusal("githubApp", f"lacks the permissions {', '.join(lacking)}", mend)
        return
    if settings.github_token and settings.github_token.get_secret_value().startswith("ghp_"):
        if "repo" not in client.scopes:
            raise Refusal("githubToken", "is a classic token without the scope `repo`", mend)
        return
    if name:
        repository = f"/repos/{settings.github_owner}/{name}"
        probes = {"administration": "/keys", "repository_hooks": "/hooks", "actions": "/environments"}
        for what in wanted.keys() & probes.keys():
            client.get(f"{repository}{probes[what]}?per_page=1")


def _give(settings: Settings) -> str:
    return f"give it what README lists, at {permissions_page(settings)}"


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
    if answer.status_code == 404:
        what = "team the log-in may see (that takes the organisation's permission members: read)" if team else "user"
        raise Refusal(path, f"is {name}, and GitHub knows no such {what}")
    return ("team" if team else "user"), int(answer.json()["id"])


def _warn_of_expiry(answer: httpx.Response) -> None:
    text = answer.headers.get("GitHub-Authentication-Token-Expiration", "")[:19]
    if text:
        left = datetime.datetime.fromisoformat(text) - datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        if left.days < EXPIRY_DAYS:
            pulumi.log.warn(problem("githubToken", f"expires on {text} UTC").strip())
