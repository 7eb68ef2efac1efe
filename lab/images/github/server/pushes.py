"""What follows when refs have moved, whoever moved them: by git push, by a merge, over the API."""

from .git import ZERO, Git
from .models import Issue, Repository, now
from .payloads import common, pull, push, ref_made_or_deleted
from .server import Server

Moved = tuple[str, str, str]
"""A ref, what it was, what it is."""


def moved(server: Server, it: Repository, updates: list[Moved], login: str) -> None:
    """Tell the hooks, and bring the pull requests up to date."""
    with server.store.lock:
        it.pushed_at = now()
        for ref, old, new in updates:
            if not ref.startswith(("refs/heads/", "refs/tags/")):
                continue
            if old == ZERO:
                server.courier.event(it, "create", ref_made_or_deleted(server, it, ref, login, made=True))
            if new == ZERO:
                server.courier.event(it, "delete", ref_made_or_deleted(server, it, ref, login, made=False))
            payload = push(server, it, ref, (old, new), login)
            if payload:
                server.courier.event(it, "push", payload)
            _follow(server, it, ref, new, login)
        server.store.save()


def tell_pull(server: Server, it: Repository, of: Issue, action: str, login: str, **more: str) -> None:
    """Tell the hooks what became of a pull request."""
    shown = {"action": action, "number": of.number, "pull_request": pull(server, it, of), **more}
    server.courier.event(it, "pull_request", shown | common(server, it, login))


def _follow(server: Server, it: Repository, ref: str, new: str, login: str) -> None:
    """Open pull requests follow their branch; one whose branch is gone is closed, one whose commits arrived, merged."""
    git = Git(server.store.git_directory(it))
    for each in it.issues.values():
        of = each.pull
        if not of or each.state != "open":
            continue
        if ref == f"refs/heads/{of.head_ref}" and new != ZERO and new != of.head_sha:
            git.update(f"refs/pull/{each.number}/head", new, of.head_sha)
            before, of.head_sha = of.head_sha, new
            tell_pull(server, it, each, "synchronize", login, before=before, after=new)
        elif ref == f"refs/heads/{of.head_ref}" and new == ZERO:
            each.state, each.closed_at, each.closed_by = "closed", now(), login
            tell_pull(server, it, each, "closed", login)
        elif ref == f"refs/heads/{of.base_ref}" and new != ZERO and git.contains(of.head_sha, new):
            each.state, each.closed_at, each.closed_by = "closed", now(), login
            of.merged_at, of.merged_by, of.merge_commit_sha = now(), login, new
            tell_pull(server, it, each, "closed", login)
        elif ref == f"refs/heads/{of.base_ref}" and new != ZERO:
            of.base_sha = new
