"""The bodies of webhooks: the fields of GitHub's own examples, with what is so here."""

import copy
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from .git import ZERO, Git
from .issue_views import issue as issue_view
from .issue_views import pull as pull_view
from .models import Issue, Json, Repository
from .objects import node_id
from .server import Server
from .views import MERGING, owner_of
from .views import repository as view

EXAMPLES = Path(__file__).resolve().parent.parent / "webhook-examples.json"
ZEN = "Keep it logically awesome."
COMMITS_SHOWN = 2048


@cache
def _examples() -> dict[str, list[Json]]:
    return {event["name"]: event["examples"] for event in json.loads(EXAMPLES.read_text())}


def rewritten(value: Any, it: Repository, server: Server) -> Any:
    """Return a part of an example with the addresses of this repository in place of the example's."""
    if isinstance(value, dict):
        return {key: rewritten(each, it, server) for key, each in value.items()}
    if isinstance(value, list):
        return [rewritten(each, it, server) for each in value]
    if isinstance(value, str):
        value = re.sub(r"(Codertocat|octo-org|rwjblue|github)/(Hello-World|octo-repo|hello_world)", it.full_name, value)
        return server.objects.address(value, {})
    return value


def example(event: str, it: Repository, server: Server, action: str | None = None) -> Json:
    """Return GitHub's example of an event, as if of this repository as far as addresses go."""
    found = next(each for each in _examples()[event] if action in (None, each.get("action")))
    return dict(rewritten(copy.deepcopy(found), it, server))


def organization(server: Server, it: Repository) -> Json:
    """Return the organisation as payloads name it."""
    owner = owner_of(server.store, it)
    url = f"{server.objects.api}/orgs/{owner.login}"
    return {
        "login": owner.login,
        "id": owner.id,
        "node_id": node_id("O", owner.id),
        "url": url,
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events",
        "hooks_url": f"{url}/hooks",
        "issues_url": f"{url}/issues",
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": f"{server.objects.web}/images/error/octocat_happy.gif",
        "description": "",
    }


def repository(server: Server, it: Repository) -> Json:
    """Return the repository as most payloads show it."""
    whole = view(server.objects, server.store, it)
    shown = next(each for each in _examples()["push"] if each["ref"] == "refs/heads/master")["repository"]
    return {name: whole[name] for name in shown if name not in ("stargazers", "master_branch")}


def common(server: Server, it: Repository, login: str) -> Json:
    """Return what every payload ends with."""
    return {
        "repository": repository(server, it),
        "organization": organization(server, it),
        "sender": server.objects.user(server.store.user(login)),
    }


def issue(server: Server, it: Repository, of: Issue) -> Json:
    """Return an issue as payloads show it."""
    shown = issue_view(server, it, of)
    return {name: value for name, value in shown.items() if name not in ("pinned_comment", "closed_by")}


def pull(server: Server, it: Repository, of: Issue) -> Json:
    """Return a pull request as payloads show it."""
    shown, short = pull_view(server, it, of), repository(server, it)
    whole = view(server.objects, server.store, it)
    for side in ("head", "base"):
        shown[side]["repo"] = short | {name: whole[name] for name in MERGING}
    return shown


def ping(server: Server, it: Repository, hook: Json, login: str) -> Json:
    """Return the first thing that a new hook hears."""
    shown = common(server, it, login)
    del shown["organization"]
    return {"zen": ZEN, "hook_id": hook["id"], "hook": hook, **shown}


def _commit(server: Server, it: Repository, git: Git, commit: str) -> Json:
    found = git.commit(commit)
    people = {
        part: {"name": found[part].name, "email": found[part].email, "username": found[part].name}
        for part in ("author", "committer")
    }
    return {
        "id": found["id"],
        "tree_id": found["tree"],
        "distinct": True,
        "message": found["message"],
        "timestamp": found["committer_date"],
        "url": f"{server.objects.web}/{it.full_name}/commit/{found['id']}",
        **people,
        "added": found["added"],
        "removed": found["removed"],
        "modified": found["modified"],
    }


def push(server: Server, it: Repository, ref: str, moved: tuple[str, str] | None, login: str) -> Json | None:
    """Return the payload of a push that `moved` a ref from one commit to another.

    Without it, that of the latest commit as if it had just been pushed; None when there is none.
    """
    git = Git(server.store.git_directory(it))
    if moved is None:
        head = git.resolve(ref)
        if not head:
            return None
        moved = (git.resolve(f"{head}^") or ZERO, head)
    before, after = moved
    created, deleted = before == ZERO, after == ZERO
    commits = [] if deleted else [_commit(server, it, git, each) for each in git.between(before, after, ref)]
    web = f"{server.objects.web}/{it.full_name}"
    shown = common(server, it, login)
    branch = it.settings.default_branch
    shown["repository"] |= {
        "created_at": int(it.created_at.timestamp()),
        "pushed_at": int(it.pushed_at.timestamp()),
        "stargazers": 0,
        "master_branch": branch,
        "organization": it.owner,
    }
    shown["repository"]["owner"] |= {"name": it.owner, "email": None}
    return {
        "ref": ref,
        "before": before,
        "after": after,
        **shown,
        "pusher": {"name": login, "email": f"{login}@users.noreply.github.com"},
        "created": created,
        "deleted": deleted,
        "forced": not created and not deleted and not git.contains(before, after),
        "base_ref": None,
        "compare": f"{web}/commit/{after[:12]}" if created else f"{web}/compare/{before[:12]}...{after[:12]}",
        "commits": commits[-COMMITS_SHOWN:],
        "head_commit": None if deleted else _commit(server, it, git, git.resolve(after) or after),
    }


def ref_made_or_deleted(server: Server, it: Repository, ref: str, login: str, *, made: bool) -> Json:
    """Return the payload of `create` and `delete`."""
    kind, _, name = ref.removeprefix("refs/").partition("/")
    more = {"master_branch": it.settings.default_branch, "description": it.settings.description} if made else {}
    return {
        "ref": name,
        "ref_type": "tag" if kind == "tags" else "branch",
        **more,
        "pusher_type": "user",
        **common(server, it, login),
    }


def workflow_run(
    server: Server,
    it: Repository,
    login: str,
    *,
    name: str,
    head_branch: str,
    head_sha: str,
    conclusion: str,
    event: str,
) -> Json:
    """Return the payload of a workflow run that has completed."""
    payload = example("workflow_run", it, server, "completed")
    number = server.store.new_id()
    run, actor = payload["workflow_run"], server.objects.user(server.store.user(login))
    file = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".yml"
    payload["workflow"] |= {"name": name, "path": f".github/workflows/{file}", "state": "active"}
    git = Git(server.store.git_directory(it))
    commit = git.commit(head_sha) if git.resolve(head_sha) else None
    shown = common(server, it, login)
    run |= {
        "id": number,
        "name": name,
        "path": payload["workflow"]["path"],
        "display_title": commit["message"].partition("\n")[0] if commit else name,
        "head_branch": head_branch,
        "head_sha": head_sha,
        "event": event,
        "status": "completed",
        "conclusion": conclusion,
        "run_number": 1,
        "run_attempt": 1,
        "workflow_id": payload["workflow"]["id"],
        "pull_requests": [],
        "actor": actor,
        "triggering_actor": actor,
        "html_url": f"{server.objects.web}/{it.full_name}/actions/runs/{number}",
        "url": f"{server.objects.api}/repos/{it.full_name}/actions/runs/{number}",
    }
    run["head_commit"] |= {"id": head_sha}
    for side in ("repository", "head_repository"):
        run[side] = {key: shown["repository"].get(key, value) for key, value in run[side].items()}
    return payload | shown
