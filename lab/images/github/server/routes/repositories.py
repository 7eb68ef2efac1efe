"""Repositories: made, shown, changed, deleted; their topics and security switches."""

import base64
import re
import shutil

from nacl.public import PrivateKey

from ..answers import Refusal, invalid, not_found
from ..api import Call, route
from ..git import Git, person
from ..models import Json, Repository, Settings, now
from ..server import Server
from ..views import owner_of, repository, repository_in_list
from .meta import owner

NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
TOPIC = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
MERGE_TEXTS = {("PR_TITLE", "PR_BODY"), ("PR_TITLE", "BLANK"), ("MERGE_MESSAGE", "PR_TITLE")}


def create(server: Server, owner_: str, name: str, settings: Settings) -> Repository:
    """Make an empty repository, also for /_lab/."""
    store = server.store
    found = Repository(
        id=store.new_id(),
        owner=owner_,
        name=name,
        settings=settings,
        private_key=new_key(),
    )
    Git(store.git_directory(found)).create(settings.default_branch)
    store.state.repositories[found.id] = found
    return found


def new_key() -> str:
    """Return the private half of a key that secrets are sealed for."""
    return base64.b64encode(bytes(PrivateKey.generate())).decode()


def _show(call: Call, it: Repository) -> Json:
    return repository(call.server.objects, call.server.store, it, call.caller)


@route("GET", "/orgs/{org}/repos", "metadata=read")
def list_(call: Call) -> list[Json]:
    """List an organisation's repositories that the caller sees."""
    found = owner(call, call.args["org"])
    store = call.server.store
    mine = [each for each in store.state.repositories.values() if each.owner == found.login and call.caller.sees(each)]
    return [repository_in_list(call.server.objects, store, each, call.caller) for each in mine]


@route("POST", "/orgs/{org}/repos", "administration=write", 201)
def create_(call: Call) -> Json:
    """Make a repository, with a first commit when asked for."""
    found = owner(call, call.args["org"])
    token = call.caller.token
    if not token or token.owner != found.login:
        raise not_found()
    name = str(call.body["name"])
    if not NAME.fullmatch(name) or name in (".", ".."):
        raise invalid(
            "Repository", "name can only contain ASCII letters, digits, and the characters ., -, and _", "name"
        )
    taken = call.server.store.repository(found.login, name)
    if taken and taken.name.lower() == name.lower():
        error = {"resource": "Repository", "code": "custom", "field": "name"}
        errors = [error | {"message": "name already exists on this account"}]
        raise Refusal(422, "Repository creation failed.", errors=errors)
    wanted = _settings(Settings(), call.body)
    made = create(call.server, found.login, name, wanted)
    if call.body.get("auto_init"):
        git = Git(call.server.store.git_directory(made))
        text = f"# {name}\n" + (f"{wanted.description}\n" if wanted.description else "")
        tree = git.changed_tree(None, {"README.md": text.encode()})
        git.update("refs/heads/main", git.write(person(call.login), tree, [], "Initial commit"), "0" * 40)
    if token.repositories is not None:
        # A token of chosen repositories reaches those it makes.
        token.repositories.append(name)
    return _show(call, made)


@route("GET", "/repos/{owner}/{repo}", "metadata=read")
def get(call: Call) -> Json:
    """Show a repository."""
    return _show(call, call.repository)


@route("PATCH", "/repos/{owner}/{repo}", "administration=write")
def update(call: Call) -> Json:
    """Change what the body names."""
    it = call.repository
    unarchives = call.body.get("archived") is False
    if it.settings.archived and not unarchives:
        raise Refusal(403, "Repository was archived so is read-only.")
    name = call.body.get("name", it.name)
    other = call.server.store.repository(it.owner, name)
    if other and other is not it and other.name.lower() == name.lower():
        raise invalid("Repository", "name already exists on this account", "name")
    if not NAME.fullmatch(name):
        raise invalid(
            "Repository", "name can only contain ASCII letters, digits, and the characters ., -, and _", "name"
        )
    wanted = _settings(it.settings, call.body)
    git = Git(call.server.store.git_directory(it))
    if wanted.default_branch != it.settings.default_branch:
        if not git.resolve(f"refs/heads/{wanted.default_branch}"):
            message = (
                f"The branch {wanted.default_branch} was not found. "
                "Please push that ref first or create it via the Git Data API."
            )
            raise Refusal(
                422,
                "Validation Failed",
                errors=[{"resource": "Repository", "code": "invalid", "field": "default_branch", "message": message}],
            )
        git.head(wanted.default_branch)
    switches = _security(call, wanted)
    if name != it.name:
        it.former_names.append(it.name)
        it.name = name
    it.security |= switches
    it.settings = wanted
    it.updated_at = now()
    return _show(call, it)


def _settings(old: Settings, body: Json) -> Settings:
    """Return settings with what the body gives; raises the refusal of a combination that GitHub does not take."""
    given = {name: value for name, value in body.items() if name in Settings.model_fields and value is not None}
    for name in ("description", "homepage"):
        if name in given:
            given[name] = given[name] or None
    if "visibility" not in given and body.get("private") is not None:
        given["visibility"] = "private" if body["private"] else "public"
    new = old.model_copy(update=given)
    if not (new.allow_merge_commit or new.allow_squash_merge or new.allow_rebase_merge):
        message = "Sorry, you need to allow at least one merge strategy. (no_merge_method)"
        raise Refusal(422, "Validation Failed", errors=[message])
    if (new.merge_commit_title, new.merge_commit_message) not in MERGE_TEXTS:
        raise Refusal(422, "Sorry, the merge commit title and message combination you chose is not valid.")
    return new


def _security(call: Call, wanted: Settings) -> dict[str, str]:
    """Return the security switches that the body sets; raises the refusal of those that the plan does not have."""
    given = {name: each["status"] for name, each in (call.body.get("security_and_analysis") or {}).items() if each}
    private = wanted.visibility != "public"
    bought = owner_of(call.server.store, call.repository).secret_protection
    for name, status in given.items():
        if status != "enabled":
            continue
        if name == "advanced_security" and not private:
            raise Refusal(422, "Advanced security is always available for public repos.")
        if private and not bought and name == "advanced_security":
            raise Refusal(422, "Advanced security has not been purchased.")
        if private and not bought and name.startswith("secret_scanning"):
            raise Refusal(422, "Secret scanning is not available for this repository.")
    return given


@route("DELETE", "/repos/{owner}/{repo}", "administration=write")
def delete(call: Call) -> None:
    """Delete a repository with its commits."""
    store = call.server.store
    shutil.rmtree(store.git_directory(call.repository))
    for delivery in call.repository.deliveries:
        store.forget(delivery.id)
    del store.state.repositories[call.repository.id]


@route("GET", "/repos/{owner}/{repo}/topics", "metadata=read")
def topics(call: Call) -> Json:
    """Show the topics."""
    return {"names": call.repository.topics}


@route("PUT", "/repos/{owner}/{repo}/topics", "administration=write")
def replace_topics(call: Call) -> Json:
    """Replace the topics."""
    names = list(dict.fromkeys(name.lower() for name in call.body["names"]))
    if len(names) > 20:
        raise invalid("Repository", "A repository cannot have more than 20 topics.")
    for name in names:
        if not TOPIC.fullmatch(name):
            message = (
                "Topics must start with a lowercase letter or number, consist of 50 characters or less, "
                "and can include hyphens."
            )
            raise Refusal(422, "Validation Failed", errors=[message])
    call.repository.topics = names
    return {"names": names}


@route("GET", "/repos/{owner}/{repo}/vulnerability-alerts", "administration=read")
def vulnerability_alerts(call: Call) -> None:
    """Answer 204 when they are on, 404 otherwise."""
    if not call.repository.vulnerability_alerts:
        raise Refusal(404, "Vulnerability alerts are disabled.")


@route("PUT", "/repos/{owner}/{repo}/vulnerability-alerts", "administration=write")
def enable_vulnerability_alerts(call: Call) -> None:
    """Switch them on."""
    call.repository.vulnerability_alerts = True


@route("DELETE", "/repos/{owner}/{repo}/vulnerability-alerts", "administration=write")
def disable_vulnerability_alerts(call: Call) -> None:
    """Switch them off, and the fixes with them."""
    call.repository.vulnerability_alerts = False
    call.repository.automated_security_fixes = False


@route("GET", "/repos/{owner}/{repo}/automated-security-fixes", "administration=read")
def automated_security_fixes(call: Call) -> Json:
    """Show whether pull requests mend what is vulnerable."""
    return {"enabled": call.repository.automated_security_fixes, "paused": False}


@route("PUT", "/repos/{owner}/{repo}/automated-security-fixes", "administration=write")
def enable_automated_security_fixes(call: Call) -> None:
    """Switch them on; they follow the alerts."""
    if not call.repository.vulnerability_alerts:
        raise Refusal(422, "Vulnerability alerts must be enabled to configure automated security fixes.")
    call.repository.automated_security_fixes = True
    call.repository.security["dependabot_security_updates"] = "enabled"


@route("DELETE", "/repos/{owner}/{repo}/automated-security-fixes", "administration=write")
def disable_automated_security_fixes(call: Call) -> None:
    """Switch them off."""
    call.repository.automated_security_fixes = False
    call.repository.security["dependabot_security_updates"] = "disabled"
