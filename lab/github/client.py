"""The handle on a lab's GitHub: its controls under /_lab, and clients of its API."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from lab.shell import LabError

TIMEOUT = 60
EVERYTHING = {
    **dict.fromkeys(("actions", "actions_variables", "administration", "contents", "deployments"), "write"),
    **dict.fromkeys(("environments", "issues", "pull_requests", "repository_hooks", "secrets", "statuses"), "write"),
    "members": "read",
    "workflows": "write",
}
"""What a token may do that may do everything."""


@dataclass(frozen=True)
class Repository:
    """A repository of the lab: who made it knows its latest commit."""

    full_name: str
    id: int
    commit: str | None


@dataclass(frozen=True)
class Client:
    """What a person at the lab does with it; see lab/images/github/server/control.py."""

    url: str

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        with httpx.Client(trust_env=False, timeout=TIMEOUT) as client:
            answer = client.request(method, f"{self.url}/_lab{path}", json=body)
        if answer.is_error:
            raise LabError(f"the lab's GitHub answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer.json()

    def answers(self) -> bool:
        """Say whether it is there."""
        try:
            return bool(self._ask("GET", "/health"))
        except (httpx.HTTPError, LabError):
            return False

    def reset(self) -> None:
        """Make it forget everything but that its organisation exists."""
        self._ask("POST", "/reset")

    def organization(self, login: str, *, plan: str = "free", secret_protection: bool = False) -> None:
        """Make an organisation, or change its plan ("free", "team", "enterprise")."""
        self._ask("PUT", f"/owners/{login}", {"plan": plan, "secret_protection": secret_protection})

    def team(self, slug: str, owner: str = "centaurin") -> int:
        """Make a team; return its id."""
        return int(self._ask("PUT", f"/owners/{owner}/teams/{slug}")["id"])

    def user(self, login: str, *, organization_admin: bool = False) -> int:
        """Make a person; return the id."""
        return int(self._ask("PUT", f"/users/{login}", {"organization_admin": organization_admin})["id"])

    def token(
        self,
        permissions: Mapping[str, str] = EVERYTHING,
        *,
        token: str | None = None,
        repositories: Sequence[str] | None = None,
        expires_in: float | None = None,
        user: str = "carica-admin",
        organization_admin: bool = True,
        owner: str = "centaurin",
    ) -> str:
        """Make a fine-grained token, of a value of its own or of the one given, for all repositories or those named."""
        body = {
            "permissions": dict(permissions),
            "token": token,
            "repositories": None if repositories is None else list(repositories),
            "expires_in": expires_in,
            "user": user,
            "organization_admin": organization_admin,
            "owner": owner,
        }
        return str(self._ask("POST", "/tokens", body)["token"])

    def revoke(self, token: str) -> None:
        """Make a token unknown."""
        self._ask("POST", "/tokens/revoke", {"token": token})

    def app(
        self,
        slug: str,
        public_key: str,
        permissions: Mapping[str, str] = EVERYTHING,
        *,
        repositories: Sequence[str] | None = None,
        owner: str = "centaurin",
    ) -> tuple[int, int]:
        """Register a GitHub App by its public key (PEM) and install it; return its id and the installation's."""
        body = {
            "slug": slug,
            "public_key": public_key,
            "permissions": dict(permissions),
            "repositories": None if repositories is None else list(repositories),
            "owner": owner,
        }
        made = self._ask("POST", "/apps", body)
        return int(made["id"]), int(made["installation_id"])

    def commit(
        self,
        full_name: str,
        files: Mapping[str, str | None],
        *,
        branch: str = "main",
        message: str = "A change",
        user: str = "carica-admin",
        settings: Mapping[str, Any] | None = None,
        quietly: bool = False,
    ) -> Repository:
        """Commit files (None removes one), in a repository that is made when it does not exist.

        Hooks hear of it, unless it is done `quietly`.
        """
        body = {
            "files": dict(files),
            "branch": branch,
            "message": message,
            "user": user,
            "settings": dict(settings or {}),
            "quietly": quietly,
        }
        made = self._ask("PUT", f"/repositories/{full_name}", body)
        return Repository(full_name, int(made["id"]), made["commit"])

    def repository(self, full_name: str) -> dict[str, Any]:
        """Return all that is remembered of a repository, hook secrets included, and its refs."""
        return dict(self._ask("GET", f"/repositories/{full_name}"))

    def secret(self, full_name: str, name: str, environment: str | None = None) -> str:
        """Return an Actions secret, opened."""
        query = "" if environment is None else f"?environment={environment}"
        return str(self._ask("GET", f"/repositories/{full_name}/secrets/{name}{query}")["value"])

    def workflow_run(
        self,
        full_name: str,
        name: str,
        head_branch: str,
        *,
        head_sha: str | None = None,
        conclusion: str = "success",
        event: str = "push",
    ) -> dict[str, Any]:
        """Let a workflow run complete; return the payload that hooks hear."""
        body = {
            "name": name,
            "head_branch": head_branch,
            "head_sha": head_sha,
            "conclusion": conclusion,
            "event": event,
        }
        return dict(self._ask("POST", f"/repositories/{full_name}/workflow_runs", body))

    def deliveries(self, full_name: str, seconds: float = 30) -> list[dict[str, Any]]:
        """Return what the hooks of a repository were sent, oldest first, once none is under way any more."""
        end = time.monotonic() + seconds
        while self._ask("GET", "/health")["pending"]:
            if time.monotonic() > end:
                raise LabError(f"deliveries are still under way after {seconds:.0f} s")
            time.sleep(0.05)
        return list(self._ask("GET", f"/repositories/{full_name}/deliveries"))

    def delivery_of(self, full_name: str, commit: str, seconds: float = 30) -> dict[str, Any]:
        """Return the delivery of a push that ended at `commit`, or of a run for it, with request and answer."""
        end = time.monotonic() + seconds
        while True:
            for delivery in reversed(self.deliveries(full_name, seconds)):
                payload = delivery["request"]["payload"]
                if commit in (payload.get("after"), payload.get("workflow_run", {}).get("head_sha")):
                    return dict(delivery)
            if time.monotonic() > end:
                raise LabError(f"no hook of {full_name} heard of {commit} within {seconds:.0f} s")
            time.sleep(0.05)

    def calls(self) -> dict[str, int]:
        """Return how often each operation was called, such as "GET /repos/{owner}/{repo}", since `forget_calls`."""
        return dict(self._ask("GET", "/calls"))

    def forget_calls(self) -> None:
        """Count from nought again."""
        self._ask("DELETE", "/calls")

    def misbehave(
        self,
        kind: str,
        *,
        calls: int = 1,
        method: str = "",
        path: str = "",
        status: int = 502,
        seconds: float = 1,
    ) -> None:
        """Spoil the next calls, of the API or of Git over HTTP, in whose path the expression `path` is found.

        `kind` is "rate_limit" (over in `seconds`), "secondary_rate_limit", "error" (with `status`), or "slow".
        """
        body = {
            "kind": kind,
            "calls": calls,
            "method": method,
            "path": path,
            "status": status,
            "seconds": seconds,
        }
        self._ask("POST", "/misbehaviour", body)

    def behave(self) -> None:
        """Spoil nothing any more."""
        self._ask("DELETE", "/misbehaviour")

    def told(self, key: str) -> list[dict[str, Any]]:
        """Return what was posted to the lab's chat, at /_lab/inbox/`key`, oldest first."""
        return list(self._ask("GET", f"/inbox/{key}"))

    def statuses(self, full_name: str, commit: str) -> list[dict[str, Any]]:
        """Return the statuses of a commit, the latest first."""
        with self.api(self.token({"statuses": "read"})) as api:
            return list(api.get(f"/repos/{full_name}/commits/{commit}/statuses").raise_for_status().json())

    def violations(self) -> list[dict[str, Any]]:
        """Return where a caller, or the lab itself, did not keep to GitHub's description; tests want none."""
        return list(self._ask("GET", "/violations"))

    def forget_violations(self) -> None:
        """Forget them."""
        self._ask("DELETE", "/violations")

    def api(self, token: str) -> httpx.Client:
        """Return a client of the REST API; close it."""
        return httpx.Client(
            base_url=f"{self.url}/api/v3",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=True,
        )
