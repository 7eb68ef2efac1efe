"""What the log-in may do on GitHub, as far as GitHub tells before something is tried."""

from collections.abc import Callable
from functools import partial

from components.github.api import GitHub, Refusal, permissions_page
from components.settings import DEPLOYING, Settings

PERMISSIONS = {"administration": "write", "contents": "write", "repository_hooks": "write"}
"""What the log-in must be allowed, in GitHub's words for Apps; docs/github.md says why."""
CI_PERMISSIONS = {"actions": "read", "environments": "write"}
"""What it must be allowed besides where a repository has ci."""
PROBES = {
    "administration": "/keys",
    "repository_hooks": "/hooks",
    "actions": "/environments",
    "environments": f"/environments/{DEPLOYING}/secrets",
}
"""Permission → what is read to see whether it is there."""


def checks(settings: Settings, client: GitHub, name: str | None) -> list[Callable[[], None]]:
    """Return calls that raise Refusal where the log-in may not do what it must.

    An App's installation says what it may do. So does a classic token. A fine-grained one is asked to read, with the
    repository `name` that is there: GitHub tells nobody whether it may write.
    """
    wanted = PERMISSIONS | (CI_PERMISSIONS if any(each.ci for each in settings.repositories) else {})
    if client.granted is not None:
        return [partial(_installation, settings, client.granted, wanted)]
    if settings.github_token and settings.github_token.get_secret_value().startswith("ghp_"):
        return [partial(_scopes, settings, client.scopes)]
    return [partial(_probe, settings, client, name, what) for what in wanted if what in PROBES] if name else []


def mend(settings: Settings) -> str:
    """Return how to give the log-in more."""
    return f"give it what docs/github.md lists, at {permissions_page(settings)}"


def _installation(settings: Settings, granted: dict[str, str], wanted: dict[str, str]) -> None:
    lacking = [f"{what}: {level}" for what, level in wanted.items() if granted.get(what) not in (level, "write")]
    if lacking:
        raise Refusal("githubApp", f"lacks the permissions {', '.join(lacking)}", mend(settings))


def _scopes(settings: Settings, scopes: list[str]) -> None:
    if "repo" not in scopes:
        raise Refusal("githubToken", "is a classic token without the scope `repo`", mend(settings))


def _probe(settings: Settings, client: GitHub, name: str, what: str) -> None:
    answer = client.get(f"/repos/{settings.github_owner}/{name}{PROBES[what]}?per_page=1")
    # An environment that is not there yet is the one thing that may be missing without a permission's lacking.
    if answer.status_code == 404 and what != "environments":
        fault = f"lacks the permission {what}: GitHub does not show {PROBES[what]} of {name} (404)"
        raise Refusal("githubToken", fault, mend(settings))
