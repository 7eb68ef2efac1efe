"""Issues, their comments and labels; a pull request is an issue too."""

from ..answers import Refusal, Wrapped, not_found
from ..api import Call, route
from ..issue_views import comment as comment_view
from ..issue_views import issue as view
from ..issue_views import label as label_view
from ..models import Comment, Issue, Json, Label, now
from ..payloads import common
from ..payloads import issue as payload
from ..pushes import tell_pull

REPOSITORY = "/repos/{owner}/{repo}"
ISSUE = REPOSITORY + "/issues/{issue_number}"
COMMENT = REPOSITORY + "/issues/comments/{comment_id}"
READ = "issues=read; pull_requests=read"
WRITE = "issues=write; pull_requests=write"


def issue(call: Call) -> Issue:
    """Return the issue that the path names."""
    found = call.repository.issues.get(call.number("issue_number"))
    if not found:
        raise not_found()
    return found


def new_number(call: Call) -> int:
    """Return the next number of issues and pull requests."""
    return max(call.repository.issues, default=0) + 1


def tell(call: Call, action: str, it: Issue) -> None:
    """Tell the hooks what became of an issue."""
    if it.pull:
        tell_pull(call.server, call.repository, it, action, call.login)
        return
    shown = {"action": action, "issue": payload(call.server, call.repository, it)}
    call.server.courier.event(call.repository, "issues", shown | common(call.server, call.repository, call.login))


def _labels(call: Call, given: list[Json | str]) -> list[str]:
    """Return the labels' names; those that are new come into being."""
    names = [each if isinstance(each, str) else str(each["name"]) for each in given]
    for name in names:
        if name not in call.repository.labels:
            call.repository.labels[name] = Label(id=call.server.store.new_id(), name=name)
    return names


@route("GET", REPOSITORY + "/issues", "issues=read")
def list_(call: Call) -> list[Json]:
    """List issues and pull requests, open ones unless told otherwise, the latest first."""
    state, labels = call.query.get("state", "open"), {*filter(None, call.query.get("labels", "").split(","))}
    found = [
        each
        for each in call.repository.issues.values()
        if state in ("all", each.state)
        and labels <= {*each.labels}
        and call.query.get("creator", each.user) == each.user
    ]
    found.sort(key=lambda each: each.number, reverse=call.query.get("direction", "desc") == "desc")
    return [view(call.server, call.repository, each) for each in found]


@route("POST", REPOSITORY + "/issues", "issues=write", 201)
def create(call: Call) -> Json:
    """Open an issue."""
    if not call.repository.settings.has_issues:
        raise Refusal(410, "Issues has been disabled in this repository.")
    made = Issue(
        id=call.server.store.new_id(),
        number=new_number(call),
        title=str(call.body["title"]),
        body=call.body.get("body"),
        user=call.login,
        labels=_labels(call, call.body.get("labels") or []),
        assignees=call.body.get("assignees") or [],
    )
    call.repository.issues[made.number] = made
    tell(call, "opened", made)
    return view(call.server, call.repository, made)


@route("GET", ISSUE, READ)
def get(call: Call) -> Json:
    """Show an issue."""
    return view(call.server, call.repository, issue(call))


@route("PATCH", ISSUE, WRITE)
def update(call: Call) -> Json:
    """Change an issue, close it or open it again."""
    it, body = issue(call), call.body
    it.title = str(body.get("title") or it.title)
    it.body = body.get("body", it.body)
    if "labels" in body:
        it.labels = _labels(call, body["labels"])
    it.assignees = body.get("assignees", it.assignees)
    it.updated_at = now()
    state = body.get("state", it.state)
    action = "edited"
    if state != it.state:
        set_state(it, state, call.login)
        action = "closed" if state == "closed" else "reopened"
        it.state_reason = body.get("state_reason") or ("completed" if state == "closed" else "reopened")
    tell(call, action, it)
    return view(call.server, call.repository, it)


def set_state(it: Issue, state: str, login: str) -> None:
    """Close an issue, or open it again."""
    it.state = state
    it.closed_at = now() if state == "closed" else None
    it.closed_by = login if state == "closed" else None


@route("GET", ISSUE + "/comments", READ)
def comments(call: Call) -> list[Json]:
    """List the comments, the oldest first."""
    it = issue(call)
    return [comment_view(call.server, call.repository, it, each) for each in it.comments]


def _tell_comment(call: Call, action: str, of: Issue, it: Comment) -> None:
    shown = {
        "action": action,
        "issue": payload(call.server, call.repository, of),
        "comment": comment_view(call.server, call.repository, of, it),
    }
    call.server.courier.event(
        call.repository, "issue_comment", shown | common(call.server, call.repository, call.login)
    )


@route("POST", ISSUE + "/comments", WRITE, 201)
def create_comment(call: Call) -> Json:
    """Comment on an issue or a pull request."""
    of = issue(call)
    if not call.body["body"].strip():
        raise Refusal(422, "Validation Failed", errors=["body cannot be blank"])
    made = Comment(id=call.server.store.new_id(), user=call.login, body=call.body["body"])
    of.comments.append(made)
    _tell_comment(call, "created", of, made)
    return comment_view(call.server, call.repository, of, made)


def _comment(call: Call) -> tuple[Issue, Comment]:
    number = call.number("comment_id")
    for each in call.repository.issues.values():
        for one in each.comments:
            if one.id == number:
                return each, one
    raise not_found()


@route("GET", COMMENT, READ)
def get_comment(call: Call) -> Json:
    """Show a comment."""
    return comment_view(call.server, call.repository, *_comment(call))


@route("PATCH", COMMENT, WRITE)
def update_comment(call: Call) -> Json:
    """Change a comment."""
    of, it = _comment(call)
    it.body, it.updated_at = call.body["body"], now()
    _tell_comment(call, "edited", of, it)
    return comment_view(call.server, call.repository, of, it)


@route("DELETE", COMMENT, WRITE)
def delete_comment(call: Call) -> None:
    """Delete a comment."""
    of, it = _comment(call)
    of.comments.remove(it)


@route("GET", REPOSITORY + "/labels", READ)
def labels(call: Call) -> list[Json]:
    """List the labels."""
    return [label_view(call.server, call.repository, each) for each in call.repository.labels.values()]


@route("POST", REPOSITORY + "/labels", WRITE, 201)
def create_label(call: Call) -> Json:
    """Make a label."""
    name = call.body["name"]
    if name in call.repository.labels:
        error = {"resource": "Label", "code": "already_exists", "field": "name"}
        raise Refusal(422, "Validation Failed", errors=[error])
    made = Label(
        id=call.server.store.new_id(),
        name=name,
        color=call.body.get("color", "ededed"),
        description=call.body.get("description"),
    )
    call.repository.labels[name] = made
    return label_view(call.server, call.repository, made)


@route("GET", "/search/issues")
def search(call: Call) -> Wrapped:
    """Find issues by repo:, is:, state:, label:, author:, in:title and words of the title."""
    words = call.query["q"].split()
    terms: dict[str, str] = {}
    text = []
    for word in words:
        name, colon, value = word.partition(":")
        if colon and name in ("repo", "is", "state", "label", "author", "in", "type"):
            terms[f"{name}:{value}" if name == "is" else name] = value.strip('"')
        else:
            text.append(word.strip('"').lower())
    found = []
    for it in call.server.store.state.repositories.values():
        if not call.caller.may("issues=read", it) or terms.get("repo", it.full_name) != it.full_name:
            continue
        for each in it.issues.values():
            kinds = {"is:issue": not each.pull, "is:pr": bool(each.pull), "is:open": each.state == "open"}
            kinds["is:closed"] = each.state == "closed"
            fits = all(kinds.get(name, True) for name in terms if name.startswith("is:"))
            fits = fits and terms.get("state", each.state) == each.state and terms.get("author", each.user) == each.user
            fits = fits and ("label" not in terms or terms["label"] in each.labels)
            if fits and all(word in each.title.lower() for word in text):
                found.append({**view(call.server, it, each), "score": 1.0})
    return Wrapped("items", found, {"incomplete_results": False, "search_type": "lexical"})
