"""How a repository looks to whom."""

from .auth import Caller
from .models import Json, Owner, Repository, stamp
from .objects import Objects, node_id
from .store import Store

MERGING = {
    *("allow_squash_merge", "allow_merge_commit", "allow_rebase_merge", "allow_auto_merge", "allow_update_branch"),
    *("delete_branch_on_merge", "use_squash_pr_title_as_default", "squash_merge_commit_title"),
    *("squash_merge_commit_message", "merge_commit_title", "merge_commit_message"),
}
"""Settings that GitHub shows only to who may read and write the contents."""

SECURITY = (
    "secret_scanning",
    "secret_scanning_push_protection",
    "dependabot_security_updates",
    "secret_scanning_non_provider_patterns",
    "secret_scanning_validity_checks",
)


def owner_of(store: Store, repository: Repository) -> Owner:
    """Return the organisation that a repository belongs to."""
    return store.state.owners[repository.owner]


def names(repository: Repository) -> dict[str, str]:
    """Return what stands in examples' addresses → what stands there for this repository."""
    return {
        "octocat/Hello-World": repository.full_name,
        "octocat/example": repository.full_name,
        "git:github.com": "git://github.com",
        "svn.github.com": "github.com",
    }


def repository(objects: Objects, store: Store, it: Repository, who: Caller | None = None) -> Json:
    """Return the whole object; `who` None sees everything, as the payloads of webhooks do."""
    settings = it.settings.model_dump()
    admin = who is None or who.may("administration=write", it)
    push = who is None or who.may("contents=read,contents=write", it)
    if not it.private:
        settings["allow_forking"] = True
    owner = owner_of(store, it)
    values = {
        **settings,
        "id": it.id,
        "node_id": node_id("R", it.id),
        "name": it.name,
        "full_name": it.full_name,
        "owner": objects.user(owner),
        "organization": objects.user(owner),
        "private": it.private,
        "fork": False,
        "ssh_url": f"git@{objects.ssh_host}:{it.full_name}.git",
        "mirror_url": None,
        "svn_url": f"{objects.web}/{it.full_name}",
        "git_url": f"git://{objects.ssh_host}/{it.full_name}.git",
        "language": None,
        "license": None,
        "topics": it.topics,
        "has_pages": False,
        "disabled": False,
        "size": 0,
        "open_issues": sum(issue.state == "open" for issue in it.issues.values()),
        "open_issues_count": sum(issue.state == "open" for issue in it.issues.values()),
        "pushed_at": stamp(it.pushed_at),
        "created_at": stamp(it.created_at),
        "updated_at": stamp(it.updated_at),
        "permissions": {"admin": admin, "maintain": admin, "push": push, "triage": push, "pull": True},
        "temp_clone_token": "",
        "custom_properties": {},
        **dict.fromkeys(("forks", "forks_count", "stargazers_count", "watchers", "watchers_count"), 0),
        **dict.fromkeys(("subscribers_count", "network_count"), 0),
        **dict.fromkeys(("template_repository", "parent", "source"), None),
    }
    if admin:
        values["security_and_analysis"] = security(it, owner)
    found = objects.whole("full-repository-default-response", values, names(it))
    for missing in ("template_repository", "parent", "source", *(() if push else MERGING)):
        found.pop(missing, None)
    return found


def security(it: Repository, owner: Owner) -> Json:
    """Return what is switched on; GitHub leaves out what the plan does not have."""
    shown = {name: {"status": it.security.get(name, "disabled")} for name in SECURITY}
    if it.private and owner.secret_protection:
        shown["advanced_security"] = {"status": it.security.get("advanced_security", "disabled")}
    return shown


def repository_in_list(objects: Objects, store: Store, it: Repository, who: Caller) -> Json:
    """Return the shorter object of lists and of parts of other objects."""
    whole = repository(objects, store, it, who)
    only_alone = {"organization", "subscribers_count", "network_count", *MERGING, "security_and_analysis"}
    return {name: value for name, value in whole.items() if name not in only_alone}
