"""The few calls of GitHub's API that CI makes: one comment on a pull request, one issue of a repository."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any

import httpx

from ci.actions import Run, StepError

BODY_BYTES = 65_536
"""GitHub's limit of a comment's or an issue's text."""


class GitHub:
    """A repository, as a run's token may use it."""

    def __init__(self, run: Run) -> None:
        """Talk to the API that the run belongs to: GitHub's, or an Enterprise server's."""
        if not (token := run.environment.get("GITHUB_TOKEN")):
            raise StepError("GITHUB_TOKEN is not set: a workflow gives it to the step as `${{ github.token }}`")
        self._repository = f"/repos/{run.repository}"
        self._client = httpx.Client(
            base_url=run.environment.get("GITHUB_API_URL", "https://api.github.com"),
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            timeout=30,
            transport=httpx.HTTPTransport(retries=3),
        )

    def __enter__(self) -> "GitHub":
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connection."""
        self._client.close()

    def comment(self, pull_request: int, marker: str, text: str) -> None:
        """Make `text` the one comment that begins with `marker`."""
        body = {"body": f"{marker}\n{text}"}
        comments = f"issues/{pull_request}/comments"
        if ours := self._find(comments, marker):
            self._call("PATCH", f"issues/comments/{ours['id']}", body)
        else:
            self._call("POST", comments, body)

    def open_issue(self, marker: str, title: str, text: str) -> None:
        """Make `text` that of the one open issue that begins with `marker`."""
        body = {"title": title, "body": f"{marker}\n{text}"}
        if ours := self._find("issues", marker):
            self._call("PATCH", f"issues/{ours['number']}", body)
        else:
            self._call("POST", "issues", body)

    def close_issue(self, marker: str, text: str) -> None:
        """Close the open issue that begins with `marker`, if there is one, with a last comment."""
        if ours := self._find("issues", marker):
            self._call("POST", f"issues/{ours['number']}/comments", {"body": text})
            self._call("PATCH", f"issues/{ours['number']}", {"state": "closed", "state_reason": "completed"})

    def _find(self, path: str, marker: str) -> dict[str, Any] | None:
        """Return the first that a bot wrote with `marker`: anybody else may have copied it, and can edit theirs."""
        for each in self._all(path):
            author = each["user"] or {}  # none once the account is deleted
            if author.get("type") == "Bot" and (each["body"] or "").startswith(marker):
                return each
        return None

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the entries of a list, page by page; of issues that is the open ones."""
        url = f"{self._repository}/{path}?per_page=100"
        while url:
            answer = self._send("GET", url)
            yield from answer.json()
            url = answer.links.get("next", {}).get("url", "")

    def _call(self, method: str, path: str, body: dict[str, Any]) -> None:
        self._send(method, f"{self._repository}/{path}", body)

    def _send(self, method: str, url: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            answer = self._client.request(method, url, json=body)
        except httpx.HTTPError as error:
            raise StepError(f"GitHub does not answer {method} {url}: {error}") from None
        if answer.is_error:
            raise StepError(f"GitHub answers {answer.status_code} to {method} {url}: {answer.text[:300]}")
        return answer
