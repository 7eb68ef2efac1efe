"""Who calls, and what that token may do."""

import base64
import binascii
import datetime
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import jwt

from .answers import Refusal, not_found
from .models import App, Repository, Token, User
from .store import Store

ALIASES = {
    "webhooks": "repository_hooks",
    "variables": "actions_variables",
    "dependabot_alerts": "vulnerability_alerts",
}
"""What the page for tokens calls a permission → what the API calls it."""

PERMISSIONS = {
    *("actions", "actions_variables", "administration", "checks", "contents", "deployments", "environments", "issues"),
    *("metadata", "pages", "pull_requests", "repository_hooks", "secrets", "statuses", "vulnerability_alerts"),
    *("workflows", "members", "organization_administration"),
}
LEVELS = {"read": 1, "write": 2, "admin": 3}
PUBLIC = {"metadata", "contents", "issues", "pull_requests", "statuses", "deployments", "actions"}
"""What anyone may read of a public repository."""


def named(permissions: Mapping[str, str]) -> dict[str, str]:
    """Return permissions under the API's names; raises ValueError for one that does not exist."""
    found = {ALIASES.get(name, name): level for name, level in permissions.items()}
    unknown = {name for name, level in found.items() if name not in PERMISSIONS or level not in LEVELS}
    if unknown:
        raise ValueError(f"no such permissions, or no such level: {', '.join(sorted(unknown))}")
    return {"metadata": "read", **found} if found else found


def digest(token: str) -> str:
    """Return what a token is kept under."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True)
class Caller:
    """Who calls: nobody, the holder of a token, or an app that has not chosen an installation."""

    token: Token | None = None
    user: User | None = None
    app: App | None = None

    def may(self, needs: str, repository: Repository | None = None) -> bool:
        """Say whether one of the sets of permissions in `needs` ("a=read,b=write; c=read") is held."""
        sets = [[each.strip().partition("=") for each in one.split(",")] for one in needs.split(";")]
        return any(all(self._holds(name, level, repository) for name, _, level in one) for one in sets)

    def _holds(self, name: str, level: str, repository: Repository | None) -> bool:
        if repository and not repository.private and level == "read" and name in PUBLIC:
            return True
        if not self.token or (repository and not self.reaches(repository)):
            return False
        return LEVELS[self.token.permissions.get(name, "read")] * (name in self.token.permissions) >= LEVELS[level]

    def reaches(self, repository: Repository) -> bool:
        """Say whether the token is for this repository at all."""
        if not self.token or self.token.owner.lower() != repository.owner.lower():
            return False
        chosen = self.token.repositories
        return chosen is None or repository.name.lower() in (name.lower() for name in chosen)

    def sees(self, repository: Repository) -> bool:
        """Say whether the caller may know that a repository exists."""
        return not repository.private or self.reaches(repository)

    def require(self, needs: str, repository: Repository | None) -> None:
        """Raise the refusal that GitHub answers when a permission is missing."""
        if self.may(needs, repository):
            return
        if not self.token:
            raise (
                Refusal(401, "Requires authentication") if repository is None or not repository.private else not_found()
            )
        kind = "integration" if self.token.app_id else "personal access token"
        headers = {"X-Accepted-GitHub-Permissions": needs}
        raise Refusal(403, f"Resource not accessible by {kind}", headers=headers)


def caller(store: Store, authorization: str | None) -> Caller:
    """Return who the Authorization header says it is; raises Refusal when the credentials are not good."""
    if not authorization:
        return Caller()
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        value = password(value)
    elif scheme.lower() not in ("bearer", "token"):
        raise Refusal(401, "Bad credentials")
    if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", value):
        return Caller(app=_app(store, value))
    return holder(store, value)


def password(value: str) -> str:
    """Return the password of an HTTP Basic header's value; empty when there is none."""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def holder(store: Store, value: str) -> Caller:
    """Return who a token belongs to; raises Refusal when it is unknown or has expired."""
    token = store.state.tokens.get(digest(value))
    if not token or (token.expires_at and token.expires_at <= datetime.datetime.now(datetime.UTC)):
        raise Refusal(401, "Bad credentials")
    return Caller(token, store.user(token.user))


def _app(store: Store, value: str) -> App:
    try:
        issuer = str(jwt.decode(value, options={"verify_signature": False}).get("iss", ""))
    except jwt.InvalidTokenError:
        raise Refusal(401, "A JSON web token could not be decoded") from None
    app = next((each for each in store.state.apps.values() if issuer in (str(each.id), each.slug)), None)
    if not app:
        raise Refusal(404, "Integration not found")
    try:
        jwt.decode(
            value,
            app.public_key,
            algorithms=["RS256"],
            leeway=60,
            options={"require": ["exp", "iat"], "verify_iss": False},
        )
    except jwt.ExpiredSignatureError:
        raise Refusal(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at "
            "which the assertion expires",
        ) from None
    except jwt.InvalidTokenError:
        raise Refusal(401, "A JSON web token could not be decoded") from None
    return app
