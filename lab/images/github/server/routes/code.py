"""Branches, refs and files."""

import base64

from ..answers import Answer, Refusal, not_found
from ..api import Call, route
from ..git import ZERO, Git, person
from ..models import Json
from ..objects import node_id
from ..pushes import moved
from ..rules import named, verdict
from ..smart_http import actor

REFS = "/repos/{owner}/{repo}/git/refs"


def git(call: Call) -> Git:
    """Return the repository's commits."""
    return Git(call.server.store.git_directory(call.repository))


def url(call: Call, rest: str) -> str:
    """Return an address of the API below the repository."""
    return f"{call.server.objects.api}/repos/{call.repository.full_name}/{rest}"


def protected(call: Call, branch: str) -> bool:
    """Say whether a rule is for the branch."""
    it = call.repository
    return any(named(each, it, f"refs/heads/{branch}") for each in it.rulesets.values())


def _branch(call: Call, name: str, commit: str) -> Json:
    return {
        "name": name,
        "commit": {"sha": commit, "url": url(call, f"commits/{commit}")},
        "protected": protected(call, name),
    }


@route("GET", "/repos/{owner}/{repo}/branches", "contents=read")
def branches(call: Call) -> list[Json]:
    """List the branches."""
    found = git(call).refs("refs/heads/")
    return [_branch(call, ref.removeprefix("refs/heads/"), commit) for ref, commit in found.items()]


@route("GET", "/repos/{owner}/{repo}/branches/{branch}", "contents=read")
def branch(call: Call) -> Json:
    """Show a branch with its latest commit."""
    name = call.args["branch"]
    commit = git(call).resolve(f"refs/heads/{name}")
    if not commit:
        raise Refusal(404, "Branch not found")
    address = url(call, f"branches/{name}")
    return {
        "name": name,
        "commit": commit_view(call, commit),
        "_links": {"self": address, "html": f"{call.server.objects.web}/{call.repository.full_name}/tree/{name}"},
        "protected": protected(call, name),
        "protection": {
            "enabled": False,
            "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
        },
        "protection_url": f"{address}/protection",
    }


@route("POST", "/repos/{owner}/{repo}/branches/{branch}/rename", "contents=write", 201)
def rename_branch(call: Call) -> Json:
    """Rename a branch; what names it, as the default branch or a pull request does, follows. No hook hears of it."""
    it, old, new = git(call), call.args["branch"], call.body["new_name"]
    settings = call.repository.settings
    commit = it.resolve(f"refs/heads/{old}")
    if not commit:
        raise Refusal(404, "Branch not found")
    if it.resolve(f"refs/heads/{new}"):
        raise Refusal(422, f"Branch {new} already exists")
    if old == settings.default_branch:
        call.caller.require("administration=write,contents=write", call.repository)
    it.update(f"refs/heads/{new}", commit, ZERO)
    it.update(f"refs/heads/{old}", ZERO, commit)
    if old == settings.default_branch:
        settings.default_branch = new
        it.head(new)
    for pull in (each.pull for each in call.repository.issues.values() if each.pull):
        pull.base_ref = new if pull.base_ref == old else pull.base_ref
        pull.head_ref = new if pull.head_ref == old else pull.head_ref
    call.args["branch"] = new
    shown: Json = branch(call)
    return shown


def commit_view(call: Call, sha: str) -> Json:
    """Return a commit as the API shows it."""
    found = git(call).commit(sha)
    people = {
        part: {"name": found[part].name, "email": found[part].email, "date": found[f"{part}_date"]}
        for part in ("author", "committer")
    }
    known = call.server.store.state.users
    users = {
        part: call.server.objects.user(known[found[part].name]) if found[part].name in known else None
        for part in ("author", "committer")
    }
    html = f"{call.server.objects.web}/{call.repository.full_name}/commit"
    return {
        "sha": sha,
        "node_id": f"C_{sha}",
        "url": url(call, f"commits/{sha}"),
        "html_url": f"{html}/{sha}",
        "comments_url": url(call, f"commits/{sha}/comments"),
        "commit": {
            "url": url(call, f"git/commits/{sha}"),
            **people,
            "message": found["message"],
            "tree": {"sha": found["tree"], "url": url(call, f"git/trees/{found['tree']}")},
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        },
        **users,
        "parents": [
            {"sha": each, "url": url(call, f"commits/{each}"), "html_url": f"{html}/{each}"}
            for each in found["parents"]
        ],
    }


@route("GET", "/repos/{owner}/{repo}/commits/{ref}", "contents=read")
def commit(call: Call) -> Json:
    """Show a commit."""
    found = git(call).resolve(call.args["ref"])
    if not found:
        raise Refusal(422, f"No commit found for SHA: {call.args['ref']}")
    return commit_view(call, found)


@route("GET", "/repos/{owner}/{repo}/commits", "contents=read")
def commits(call: Call) -> list[Json]:
    """List the commits of a branch, the latest first."""
    it = git(call)
    start = it.resolve(call.query.get("sha", call.repository.settings.default_branch))
    if not start:
        raise Refusal(409, "Git Repository is empty.")
    path = ["--", call.query["path"]] if "path" in call.query else []
    return [commit_view(call, sha) for sha in it.run("rev-list", "--max-count=300", start, *path).splitlines()]


def _guard(call: Call, ref: str, old: str, new: str, status: int = 422) -> None:
    """Raise the refusal of a change that the branch's rules do not allow."""
    forced = ZERO not in (old, new) and not git(call).contains(old, new)
    update = {"ref": ref, "old": old, "new": new, "forced": forced}
    stopped, _ = verdict(call.repository, update, actor(call.caller, call.repository))
    if stopped:
        raise Refusal(status, "Repository rule violations found\n\n" + "\n\n".join(stopped) + "\n\n")


def _ref(call: Call, name: str, commit: str) -> Json:
    target = {"type": "commit", "sha": commit, "url": url(call, f"git/commits/{commit}")}
    short = name.removeprefix("refs/")
    return {
        "ref": name,
        "node_id": node_id("REF", call.repository.id),
        "url": url(call, f"git/refs/{short}"),
        "object": target,
    }


@route("GET", "/repos/{owner}/{repo}/git/ref/{ref}", "contents=read")
def ref(call: Call) -> Json:
    """Show a ref."""
    name = f"refs/{call.args['ref']}"
    found = git(call).refs(name)
    if name not in found:
        raise not_found()
    return _ref(call, name, found[name])


@route("GET", "/repos/{owner}/{repo}/git/matching-refs/{ref}", "contents=read")
def matching_refs(call: Call) -> list[Json]:
    """List the refs that begin so."""
    found = git(call).refs("refs/")
    return [_ref(call, name, sha) for name, sha in found.items() if name.startswith(f"refs/{call.args['ref']}")]


@route("POST", REFS, "contents=write", 201)
def create_ref(call: Call) -> Answer:
    """Make a branch or a tag."""
    name, sha = call.body["ref"], call.body["sha"]
    it = git(call)
    if not name.startswith("refs/") or name.count("/") < 2:
        raise Refusal(422, "Reference name must start with 'refs/'.")
    if not it.resolve(sha):
        raise Refusal(422, "Object does not exist")
    if name in it.refs(name):
        raise Refusal(422, "Reference already exists")
    _guard(call, name, ZERO, sha)
    it.update(name, sha, ZERO)
    moved(call.server, call.repository, [(name, ZERO, sha)], call.login)
    body = _ref(call, name, sha)
    return Answer(201, body, {"Location": body["url"]})


@route("PATCH", REFS + "/{ref}", "contents=write")
def update_ref(call: Call) -> Json:
    """Move a branch or a tag."""
    name, sha = f"refs/{call.args['ref']}", call.body["sha"]
    it = git(call)
    old = it.refs(name).get(name)
    if not old:
        raise Refusal(422, "Reference does not exist")
    if not it.resolve(sha):
        raise Refusal(422, "Object does not exist")
    if not call.body.get("force") and not it.contains(old, sha):
        raise Refusal(422, "Update is not a fast forward")
    _guard(call, name, old, sha)
    it.update(name, sha, old)
    moved(call.server, call.repository, [(name, old, sha)], call.login)
    return _ref(call, name, sha)


@route("DELETE", REFS + "/{ref}", "contents=write")
def delete_ref(call: Call) -> None:
    """Delete a branch or a tag."""
    name = f"refs/{call.args['ref']}"
    it = git(call)
    old = it.refs(name).get(name)
    if not old:
        raise Refusal(422, "Reference does not exist")
    _guard(call, name, old, ZERO)
    it.update(name, ZERO, old)
    moved(call.server, call.repository, [(name, old, ZERO)], call.login)


def _file(call: Call, ref: str, path: str) -> Json:
    it = git(call)
    line = it.run("ls-tree", ref, "--", path)
    if not line:
        raise not_found()
    kind, sha = line.split()[1:3]
    if kind != "blob":
        raise Refusal(501, f"lab GitHub shows files only, and {path} is a directory")
    content = it.blob(sha)
    addresses = {
        "url": url(call, f"contents/{path}?ref={ref}"),
        "git_url": url(call, f"git/blobs/{sha}"),
        "html_url": f"{call.server.objects.web}/{call.repository.full_name}/blob/{ref}/{path}",
    }
    return {
        "type": "file",
        "size": len(content),
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        **addresses,
        "download_url": f"{call.server.objects.web}/{call.repository.full_name}/raw/{ref}/{path}",
        "encoding": "base64",
        "content": base64.encodebytes(content).decode(),
        "_links": {"self": addresses["url"], "git": addresses["git_url"], "html": addresses["html_url"]},
    }


@route("GET", "/repos/{owner}/{repo}/contents/{path}", "contents=read")
def contents(call: Call) -> Json:
    """Show a file."""
    ref = call.query.get("ref", call.repository.settings.default_branch)
    if not git(call).resolve(ref):
        raise Refusal(404, f"No commit found for the ref {ref}")
    return _file(call, ref, call.args["path"])


def _commit_file(call: Call, content: bytes | None) -> tuple[str, str]:
    """Commit a file's new content; return the branch and the commit."""
    it, path = git(call), call.args["path"]
    if path.startswith(".github/workflows/"):
        call.caller.require("contents=write,workflows=write", call.repository)
    name = call.body.get("branch", call.repository.settings.default_branch)
    head = it.resolve(f"refs/heads/{name}")
    if not head and it.refs("refs/heads/"):
        raise Refusal(404, f"Branch {name} not found")
    known = it.run("ls-tree", head, "--", path).split()[2:3] if head else []
    if known and not call.body.get("sha"):
        raise Refusal(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if call.body.get("sha") and known != [call.body["sha"]]:
        raise Refusal(409, f"{path} does not match {call.body['sha']}")
    tree = it.changed_tree(head, {path: content})
    new = it.write(person(call.login), tree, [head] if head else [], call.body["message"])
    _guard(call, f"refs/heads/{name}", head or ZERO, new, 409)
    it.update(f"refs/heads/{name}", new, head or ZERO)
    moved(call.server, call.repository, [(f"refs/heads/{name}", head or ZERO, new)], call.login)
    return name, new


def _git_commit(call: Call, sha: str) -> Json:
    shown = commit_view(call, sha)
    return {
        **shown["commit"],
        "sha": sha,
        "node_id": shown["node_id"],
        "url": shown["commit"]["url"],
        "html_url": shown["html_url"],
        "parents": shown["parents"],
    }


@route("PUT", "/repos/{owner}/{repo}/contents/{path}", "contents=write")
def write_file(call: Call) -> Answer:
    """Make or change a file with a commit."""
    try:
        content = base64.b64decode(call.body["content"])
    except ValueError:
        raise Refusal(422, "content is not valid Base64") from None
    name, new = _commit_file(call, content)
    body = {"content": _file(call, name, call.args["path"]), "commit": _git_commit(call, new)}
    return Answer(200 if call.body.get("sha") else 201, body)


@route("DELETE", "/repos/{owner}/{repo}/contents/{path}", "contents=write")
def delete_file(call: Call) -> Json:
    """Delete a file with a commit."""
    _, new = _commit_file(call, None)
    return {"content": None, "commit": _git_commit(call, new)}
