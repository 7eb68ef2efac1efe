"""What follows when refs have moved, whoever moved them: by git push, by a merge, over the API."""

from .git import ZERO
from .models import Repository, now
from .payloads import push, ref_made_or_deleted
from .server import Server

Moved = tuple[str, str, str]
"""A ref, what it was, what it is."""


def moved(server: Server, it: Repository, updates: list[Moved], login: str) -> None:
    """Tell the hooks."""
    with server.store.lock:
        it.pushed_at = now()
        for ref, old, new in updates:
            if not ref.startswith(("refs/heads/", "refs/tags/")):
                continue
            if old == ZERO:
                server.courier.event(it, "create", ref_made_or_deleted(server, it, ref, login))
            if new == ZERO:
                server.courier.event(it, "delete", ref_made_or_deleted(server, it, ref, login))
            payload = push(server, it, ref, (old, new), login)
            if payload:
                server.courier.event(it, "push", payload)
        server.store.save()
