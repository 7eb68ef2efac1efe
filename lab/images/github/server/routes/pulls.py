"""Pull requests between branches of one repository, merged by real Git work."""

from ..answers import Answer, Refusal, invalid, not_found
from ..api import Call, route
from ..git import ZERO, Git, person
from ..issue_views import pull as view
from ..issue_views import pull_in_list
from ..models import Issue, Json, Pull, Repository, now
from ..pushes import moved, tell_pull
from ..rules import bypasses, named, unmet
from ..smart_http import actor
from .issues import new_number, set_state

PULLS = "/repos/{owner}/{repo}/pulls"
PULL = PULLS + "/{pull_number}"
METHODS = {"merge": "Merge commits", "squash": "Squash merges", "rebase": "Rebase merges"}


def _git(call: Call) -> Git:
    return Git(call.server.store.git_directory(call.repository))


def _pull(call: Call) -> tuple[Issue, Pull]:
    found = call.repository.issues.get(call.number("pull_number"))
    if not found or not found.pull:
        raise not_found()
    return found, found.pull


def _branch(call: Call, field: str) -> tuple[str, str]:
    """Return a branch of this repository that the body names, and its commit."""
    owner, _, name = call.body[field].rpartition(":")
    commit = _git(call).resolve(f"refs/heads/{name}") if owner in ("", call.repository.owner) else None
    if not commit:
        errors = [{"resource": "PullRequest", "field": field, "code": "invalid"}]
        raise Refusal(422, "Validation Failed", errors=errors)
    return name, commit


@route("GET", PULLS, "pull_requests=read")
def list_(call: Call) -> list[Json]:
    """List pull requests, open ones unless told otherwise, the latest first."""
    state, head = call.query.get("state", "open"), call.query.get("head", "").rpartition(":")[2]
    found = [
        each
        for each in call.repository.issues.values()
        if each.pull
        and state in ("all", each.state)
        and head in ("", each.pull.head_ref)
        and call.query.get("base", each.pull.base_ref) == each.pull.base_ref
    ]
    found.sort(key=lambda each: each.number, reverse=call.query.get("direction", "desc") == "desc")
    return [pull_in_list(call.server, call.repository, each) for each in found]


@route("POST", PULLS, "pull_requests=write", 201)
def create(call: Call) -> Json:
    """Open a pull request."""
    head, head_sha = _branch(call, "head")
    base, base_sha = _branch(call, "base")
    it = call.repository
    for each in it.issues.values():
        if each.pull and each.state == "open" and (each.pull.head_ref, each.pull.base_ref) == (head, base):
            raise invalid("PullRequest", f"A pull request already exists for {it.owner}:{head}.")
    if _git(call).contains(head_sha, base_sha):
        raise invalid("PullRequest", f"No commits between {base} and {head}")
    if not call.body.get("title"):
        errors = [{"resource": "PullRequest", "field": "title", "code": "missing_field"}]
        raise Refusal(422, "Validation Failed", errors=errors)
    made = Issue(
        id=call.server.store.new_id(),
        number=new_number(call),
        title=call.body["title"],
        body=call.body.get("body"),
        user=call.login,
        pull=Pull(
            head_ref=head,
            head_sha=head_sha,
            base_ref=base,
            base_sha=base_sha,
            draft=call.body.get("draft", False),
            maintainer_can_modify=call.body.get("maintainer_can_modify", False),
        ),
    )
    # A pull request has an id of its own beside that of its issue.
    call.server.store.new_id()
    it.issues[made.number] = made
    _git(call).update(f"refs/pull/{made.number}/head", head_sha, ZERO)
    tell_pull(call.server, it, made, "opened", call.login)
    return view(call.server, it, made)


@route("GET", PULL, "pull_requests=read")
def get(call: Call) -> Json:
    """Show a pull request."""
    return view(call.server, call.repository, _pull(call)[0])


@route("PATCH", PULL, "pull_requests=write")
def update(call: Call) -> Json:
    """Change a pull request, close it or open it again."""
    it, _ = _pull(call)
    it.title = call.body.get("title", it.title)
    it.body = call.body.get("body", it.body)
    it.updated_at = now()
    action, state = "edited", call.body.get("state", it.state)
    if state != it.state:
        set_state(it, state, call.login)
        action = "closed" if state == "closed" else "reopened"
    tell_pull(call.server, call.repository, it, action, call.login)
    return view(call.server, call.repository, it)


@route("GET", PULL + "/merge", "pull_requests=read")
def merged(call: Call) -> None:
    """Answer 204 when it has been merged."""
    if not _pull(call)[1].merged_at:
        raise not_found()


@route("PUT", PULL + "/merge", "contents=write")
def merge(call: Call) -> Answer:
    """Merge as the repository's settings and rules allow."""
    it, of = _pull(call)
    method = call.body.get("merge_method", "merge")
    settings = call.repository.settings
    allowed = {
        "merge": settings.allow_merge_commit,
        "squash": settings.allow_squash_merge,
        "rebase": settings.allow_rebase_merge,
    }
    if not allowed[method]:
        raise Refusal(405, f"{METHODS[method]} are not allowed on this repository.")
    if call.body.get("sha", of.head_sha) != of.head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    git = _git(call)
    base = git.resolve(f"refs/heads/{of.base_ref}")
    if it.state != "open" or of.draft or not base:
        raise Refusal(405, "Pull Request is not mergeable")
    problems = _forbidden(call, of, method)
    if problems:
        raise Refusal(405, "Repository rule violations found\n\n" + "\n\n".join(problems) + "\n\n")
    new = _merged(call, it, of, method, git, base)
    ref = f"refs/heads/{of.base_ref}"
    git.update(ref, new, base)
    of.base_sha = base
    of.merge_commit_sha, of.merged_at, of.merged_by = new, now(), call.login
    set_state(it, "closed", call.login)
    updates = [(ref, base, new)]
    head = f"refs/heads/{of.head_ref}"
    if settings.delete_branch_on_merge and git.resolve(head):
        git.update(head, ZERO, of.head_sha)
        updates.append((head, of.head_sha, ZERO))
    tell_pull(call.server, call.repository, it, "closed", call.login)
    moved(call.server, call.repository, updates, call.login)
    return Answer(200, {"sha": new, "merged": True, "message": "Pull Request successfully merged"})


def _forbidden(call: Call, of: Pull, method: str) -> list[str]:
    """Return which rules stand against the merge."""
    it: Repository = call.repository
    found = []
    for ruleset in it.rulesets.values():
        if not named(ruleset, it, f"refs/heads/{of.base_ref}"):
            continue
        if bypasses(ruleset, actor(call.caller, it), by_pull=True):
            continue
        for rule in ruleset.rules:
            wanted = rule.get("parameters") or {}
            if rule["type"] == "required_status_checks":
                found += unmet(it, wanted["required_status_checks"], of.head_sha)
            if rule["type"] == "pull_request":
                needed = wanted["required_approving_review_count"]
                if needed:
                    plural = "s are" if needed > 1 else " is"
                    found.append(f"At least {needed} approving review{plural} required by reviewers with write access.")
                if method not in wanted["allowed_merge_methods"]:
                    found.append(f"{METHODS[method]} are not allowed.")
    return found


def _merged(call: Call, it: Issue, of: Pull, method: str, git: Git, base: str) -> str:
    """Write the commits of a merge; return the last."""
    conflict = Refusal(405, "Pull Request is not mergeable")
    by = person(call.login)
    if method == "rebase":
        onto = base
        for commit in git.run("rev-list", "--reverse", "--no-merges", f"{base}..{of.head_sha}").splitlines():
            found = git.commit(commit)
            tree = git.merged_tree(onto, commit, found["parents"][0])
            if not tree:
                raise conflict
            onto = git.write(found["author"], tree, [onto], found["message"] + "\n")
        return onto
    tree = git.merged_tree(base, of.head_sha)
    if not tree:
        raise conflict
    settings = call.repository.settings
    if method == "squash":
        title = call.body.get("commit_title") or f"{it.title} (#{it.number})"
        texts = {"PR_BODY": it.body or "", "BLANK": "", "COMMIT_MESSAGES": _messages(git, base, of.head_sha)}
        message = call.body.get("commit_message") or texts[settings.squash_merge_commit_message]
        return git.write(by, tree, [base], f"{title}\n\n{message}".strip() + "\n")
    usual = f"Merge pull request #{it.number} from {call.repository.owner}/{of.head_ref}"
    titles = {"MERGE_MESSAGE": usual, "PR_TITLE": f"{it.title} (#{it.number})"}
    texts = {"PR_TITLE": it.title, "PR_BODY": it.body or "", "BLANK": ""}
    title = call.body.get("commit_title") or titles[settings.merge_commit_title]
    message = call.body.get("commit_message") or texts[settings.merge_commit_message]
    return git.write(by, tree, [base, of.head_sha], f"{title}\n\n{message}".strip() + "\n")


def _messages(git: Git, base: str, head: str) -> str:
    commits = git.run("rev-list", "--reverse", f"{base}..{head}").splitlines()
    if len(commits) == 1:
        return str(git.commit(commits[0])["message"]).partition("\n")[2].strip()
    return "\n\n".join(f"* {git.commit(each)['message']}" for each in commits)
