"""GitHub's REST API as far as it is asked before anything is declared: log-in, tries, and what its refusals mean."""

import base64
import datetime
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from components.settings import App, Settings

SECONDS = 10.0
"""How long one answer may take."""
TRIES = 3
"""How often a call is made that gets no answer, or one that says that GitHub has trouble."""


@dataclass(eq=False)
class Refusal(Exception):
    """GitHub did not answer as hoped: the setting that is to blame, the fault, and what mends it if not the setting."""

    key: str
    fault: str
    mend: str = ""


class GitHub:
    """A client; close it."""

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        """Make one that is not logged in yet."""
        self._settings = settings
        self._key = "githubAppKey" if settings.github_app else "githubToken"
        self._client = httpx.Client(
            base_url=settings.github_api,
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
            timeout=SECONDS,
            follow_redirects=True,  # a repository that was renamed
            transport=transport,
        )
        self.granted: dict[str, str] | None = None
        """What an App's installation may do, permission → level; a token does not say."""
        self.scopes: list[str] = []
        """What a classic token may do, once something was asked."""

    def log_in(self) -> None:
        """Log in with the stack's token, or as its App; raises Refusal."""
        self._client.headers["Authorization"] = f"Bearer {self._token()}"

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, path: str) -> httpx.Response:
        """Return GitHub's answer, which is 200 or 404; raises Refusal for all others."""
        return self._call("GET", path)

    def entries(self, path: str, query: str = "") -> list[dict[str, Any]]:
        """Return all entries of a list, page after page."""
        entries: list[dict[str, Any]] = []
        following: str | None = f"{path}?per_page=100{query}"
        while following:
            answer = self.get(following)
            if answer.status_code == 404:
                break
            body = answer.json()
            # Some lists stand in an object, beside their count.
            entries += (
                body if isinstance(body, list) else next(each for each in body.values() if isinstance(each, list))
            )
            following = answer.links.get("next", {}).get("url")
        return entries

    def _token(self) -> str:
        settings = self._settings
        if settings.github_app is None:
            assert settings.github_token is not None  # noqa: S101 (the settings see to it)
            return settings.github_token.get_secret_value()
        assert settings.github_app_key is not None  # noqa: S101 (the settings see to it)
        self._client.headers["Authorization"] = (
            f"Bearer {app_token(settings.github_app, settings.github_app_key.get_secret_value())}"
        )
        answer = self._call("POST", f"/app/installations/{settings.github_app.installation_id}/access_tokens")
        if answer.status_code == 404:
            raise Refusal("githubApp.installationId", "is no installation of the App that githubApp.id names (404)")
        self.granted = answer.json()["permissions"]
        return str(answer.json()["token"])

    def _call(self, method: str, path: str) -> httpx.Response:
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._client.request(method, path)
            except httpx.HTTPError as error:
                fault = f"leads to no GitHub: {self._settings.github_api} does not answer ({error or repr(error)})"
            else:
                if answer.status_code < 500:
                    return self._judged(method, answer)
                fault = f"leads to a GitHub in trouble: {method} {answer.url.path} answers {answer.status_code}"
            if attempt < TRIES:
                time.sleep(2.0 ** (attempt - 1) / 2)
        raise Refusal("githubUrl", f"{fault}, {TRIES} times", "try again later: pulumi up")

    def _judged(self, method: str, answer: httpx.Response) -> httpx.Response:
        if answer.is_success or answer.status_code == 404:
            self.scopes = answer.headers.get("X-OAuth-Scopes", "").split(", ")
            return answer
        said = _message(answer)
        if answer.status_code in (403, 429) and _is_rate_limited(answer):
            raise Refusal(self._key, f"has used up its calls: {said}", _when(answer))
        if answer.status_code == 401:
            raise Refusal(self._key, f"is not taken by GitHub: it has expired or was revoked, or is another's ({said})")
        if sso := answer.headers.get("X-GitHub-SSO", ""):
            address = sso.partition("url=")[2]
            raise Refusal(self._key, f"is not authorised for {self._settings.github_owner}", f"open {address}")
        if answer.status_code == 403:
            wanted = answer.headers.get("X-Accepted-GitHub-Permissions", "")
            lacking = f"lacks the permission {wanted}" if wanted else "is not allowed to look"
            fault = f"{lacking}: {method} {answer.url.path} answers 403 ({said})"
            raise Refusal(self._key, fault, f"give it what docs/github.md lists, at {permissions_page(self._settings)}")
        raise Refusal("githubUrl", f"answers {method} {answer.url.path} with {answer.status_code} ({said})")


def permissions_page(settings: Settings) -> str:
    """Return the address where a person sees to what the log-in may do."""
    if settings.github_app:
        return f"{settings.github_url}/organizations/{settings.github_owner}/settings/apps"
    return f"{settings.github_url}/settings/personal-access-tokens"


def app_token(app: App, key: str) -> str:
    """Return the token an App proves itself with for the next minutes: a JWT signed with RS256."""
    loaded = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(loaded, RSAPrivateKey)  # noqa: S101 (the settings see to it)
    now = int(time.time())
    # A minute back, as GitHub advises, for clocks that differ.
    parts = [{"alg": "RS256", "typ": "JWT"}, {"iat": now - 60, "exp": now + 300, "iss": app.id}]
    signed = b".".join(_base64(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + _base64(loaded.sign(signed, PKCS1v15(), hashes.SHA256()))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase


def _is_rate_limited(answer: httpx.Response) -> bool:
    """Tell a limit from a refusal: GitHub answers both with 403, the secondary limits often without a header."""
    used_up = answer.headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in answer.headers
    return answer.status_code == 429 or used_up or "rate limit" in _message(answer).lower()


def _when(answer: httpx.Response) -> str:
    """Say when calls are taken again."""
    if seconds := answer.headers.get("Retry-After", ""):
        return f"wait {seconds} s, then: pulumi up"
    if answer.headers.get("X-RateLimit-Remaining") != "0":
        return "wait a minute, then: pulumi up"
    reset = datetime.datetime.fromtimestamp(int(answer.headers.get("X-RateLimit-Reset", "0")), datetime.UTC)
    return f"wait until {reset:%H:%M:%S} UTC, then: pulumi up"
