"""Issues, pull requests and their comments as the API and the payloads show them."""

from typing import Any

from .git import Git
from .models import Comment, Issue, Json, Label, Pull, Repository, stamp
from .objects import node_id
from .server import Server
from .views import names, owner_of, repository

ASSOCIATION = "MEMBER"


def _user(server: Server, login: str | None) -> Json | None:
    return server.objects.user(server.store.user(login)) if login else None


def label(server: Server, it: Repository, one: Label) -> Json:
    """Return a label."""
    return {
        "id": one.id,
        "node_id": node_id("LA", one.id),
        "url": f"{server.objects.api}/repos/{it.full_name}/labels/{one.name}",
        "name": one.name,
        "color": one.color,
        "default": False,
        "description": one.description,
    }


def _reactions(url: str) -> Json:
    kinds = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
    return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(kinds, 0)}


def _common(server: Server, it: Repository, one: Issue) -> Json:
    return {
        "number": one.number,
        "state": one.state,
        "title": one.title,
        "body": one.body,
        "user": _user(server, one.user),
        "labels": [label(server, it, it.labels[name]) for name in one.labels],
        "assignee": _user(server, one.assignees[0] if one.assignees else None),
        "assignees": [_user(server, login) for login in one.assignees],
        "milestone": None,
        "locked": False,
        "active_lock_reason": None,
        "comments": len(one.comments),
        "closed_at": stamp(one.closed_at),
        "created_at": stamp(one.created_at),
        "updated_at": stamp(one.updated_at),
        "author_association": ASSOCIATION,
    }


def issue(server: Server, it: Repository, one: Issue) -> Json:
    """Return an issue, or a pull request as one."""
    kind = "pull" if one.pull else "issues"
    web = f"{server.objects.web}/{it.full_name}"
    values = {
        **_common(server, it, one),
        "id": one.id,
        "node_id": node_id("I", one.id),
        "html_url": f"{web}/{kind}/{one.number}",
        "pinned_comment": None,
        "closed_by": _user(server, one.closed_by),
        "state_reason": one.state_reason,
        "pull_request": None,
        "reactions": _reactions(f"{server.objects.api}/repos/{it.full_name}/issues/{one.number}"),
        "repository_url": f"{server.objects.api}/repos/{it.full_name}",
        "timeline_url": f"{server.objects.api}/repos/{it.full_name}/issues/{one.number}/timeline",
    }
    shown = server.objects.whole("issue", values, {**names(it), "1347": str(one.number)})
    del shown["pull_request"]
    if one.pull:
        api = f"{server.objects.api}/repos/{it.full_name}/pulls/{one.number}"
        page = f"{web}/pull/{one.number}"
        urls = {"url": api, "html_url": page, "diff_url": f"{page}.diff", "patch_url": f"{page}.patch"}
        shown["pull_request"] = {**urls, "merged_at": stamp(one.pull.merged_at)}
    return shown


def comment(server: Server, it: Repository, of: Issue, one: Comment) -> Json:
    """Return a comment."""
    api = f"{server.objects.api}/repos/{it.full_name}/issues"
    kind = "pull" if of.pull else "issues"
    return {
        "id": one.id,
        "node_id": node_id("IC", one.id),
        "url": f"{api}/comments/{one.id}",
        "html_url": f"{server.objects.web}/{it.full_name}/{kind}/{of.number}#issuecomment-{one.id}",
        "issue_url": f"{api}/{of.number}",
        "body": one.body,
        "user": _user(server, one.user),
        "created_at": stamp(one.created_at),
        "updated_at": stamp(one.updated_at),
        "author_association": ASSOCIATION,
        "performed_via_github_app": None,
        "reactions": _reactions(f"{api}/comments/{one.id}"),
    }


def pull_in_list(server: Server, it: Repository, one: Issue) -> Json:
    """Return a pull request without what takes Git to find out."""
    whole = pull(server, it, one)
    costly = ("merged", "mergeable", "rebaseable", "mergeable_state", "merged_by", "comments", "review_comments")
    numbers = ("maintainer_can_modify", "commits", "additions", "deletions", "changed_files")
    return {name: value for name, value in whole.items() if name not in {*costly, *numbers}}


def mergeable(server: Server, it: Repository, of: Pull) -> bool:
    """Say whether the branches merge without a conflict."""
    git = Git(server.store.git_directory(it))
    base = git.resolve(f"refs/heads/{of.base_ref}")
    return bool(base and git.merged_tree(base, of.head_sha))


def pull(server: Server, it: Repository, one: Issue) -> Json:
    """Return a pull request."""
    assert one.pull  # noqa: S101 (the caller has looked)
    of, git = one.pull, Git(server.store.git_directory(it))
    added, deleted, files = git.numbers(of.base_sha, of.head_sha)
    clean = mergeable(server, it, of) if one.state == "open" else None
    values = {
        **_common(server, it, one),
        "id": one.id + 1,
        "node_id": node_id("PR", one.id + 1),
        "merge_commit_sha": of.merge_commit_sha,
        "merged_at": stamp(of.merged_at),
        "merged": of.merged_at is not None,
        "merged_by": _user(server, of.merged_by),
        "mergeable": clean,
        "rebaseable": clean,
        "mergeable_state": {True: "clean", False: "dirty", None: "unknown"}[clean],
        "draft": of.draft,
        "auto_merge": None,
        "requested_reviewers": [],
        "requested_teams": [],
        "head": _side(server, it, of.head_ref, of.head_sha),
        "base": _side(server, it, of.base_ref, of.base_sha),
        "_links": _links(server, it, one),
        "review_comments": 0,
        "maintainer_can_modify": of.maintainer_can_modify,
        "commits": len(git.run("rev-list", f"{of.base_sha}..{of.head_sha}").splitlines()),
        "additions": added,
        "deletions": deleted,
        "changed_files": files,
        "statuses_url": f"{server.objects.api}/repos/{it.full_name}/statuses/{of.head_sha}",
    }
    return server.objects.whole("pull-request", values, {**names(it), "1347": str(one.number)})


def _side(server: Server, it: Repository, ref: str, sha: str) -> Json:
    owner = owner_of(server.store, it)
    return {
        "label": f"{it.owner}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": server.objects.user(owner),
        "repo": repository(server.objects, server.store, it),
    }


def _links(server: Server, it: Repository, one: Issue) -> dict[str, Any]:
    assert one.pull  # noqa: S101 (the caller has looked)
    api, number = f"{server.objects.api}/repos/{it.full_name}", one.number
    addresses = {
        "self": f"{api}/pulls/{number}",
        "html": f"{server.objects.web}/{it.full_name}/pull/{number}",
        "issue": f"{api}/issues/{number}",
        "comments": f"{api}/issues/{number}/comments",
        "review_comments": f"{api}/pulls/{number}/comments",
        "review_comment": f"{api}/pulls/comments{{/number}}",
        "commits": f"{api}/pulls/{number}/commits",
        "statuses": f"{api}/statuses/{one.pull.head_sha}",
    }
    return {name: {"href": address} for name, address in addresses.items()}
