"""Commit statuses, deployments and how these went."""

from ..answers import Refusal, invalid, not_found
from ..api import Call, route
from ..models import Deployment, DeploymentStatus, Json, Status, now, stamp
from ..objects import node_id
from ..payloads import common
from ..views import repository_in_list
from .code import commit_view, git, url

REPOSITORY = "/repos/{owner}/{repo}"
DEPLOYMENT = REPOSITORY + "/deployments/{deployment_id}"
LONGEST = 140
"""Characters of a description that GitHub takes, though what it publishes about its API does not say so."""


def _creator(call: Call, login: str) -> Json:
    return call.server.objects.user(call.server.store.user(login))


def _not_too_long(call: Call, resource: str) -> None:
    if len(call.body.get("description") or "") > LONGEST:
        raise invalid(resource, f"description is too long (maximum is {LONGEST} characters)", "description")


def _status(call: Call, it: Status) -> Json:
    return {
        "url": url(call, f"statuses/{it.sha}"),
        "avatar_url": _creator(call, it.creator)["avatar_url"],
        "id": it.id,
        "node_id": node_id("SC", it.id),
        "state": it.state,
        "description": it.description,
        "target_url": it.target_url,
        "context": it.context,
        "created_at": stamp(it.created_at),
        "updated_at": stamp(it.updated_at),
        "creator": _creator(call, it.creator),
    }


@route("POST", REPOSITORY + "/statuses/{sha}", "statuses=write", 201)
def create_status(call: Call) -> Json:
    """Say how a check of a commit went."""
    sha = git(call).resolve(call.args["sha"])
    if sha != call.args["sha"]:
        raise Refusal(422, f"No commit found for SHA: {call.args['sha']}")
    _not_too_long(call, "Status")
    made = Status(
        id=call.server.store.new_id(),
        sha=sha,
        context=call.body.get("context") or "default",
        state=call.body["state"],
        description=call.body.get("description"),
        target_url=call.body.get("target_url"),
        creator=call.login,
    )
    call.repository.statuses.append(made)
    shown = _status(call, made)
    payload = {name: shown[name] for name in ("id", "target_url", "context", "description", "state", "avatar_url")}
    payload |= {"sha": sha, "name": call.repository.full_name, "commit": commit_view(call, sha)}
    del payload["commit"]["commit"]["verification"]["verified_at"]
    payload |= {"branches": [], "created_at": shown["created_at"], "updated_at": shown["updated_at"]}
    payload |= common(call.server, call.repository, call.login)
    call.server.courier.event(call.repository, "status", payload)
    return shown


def _statuses(call: Call) -> tuple[str, list[Status]]:
    sha = git(call).resolve(call.args["ref"])
    if not sha:
        raise not_found()
    return sha, [each for each in reversed(call.repository.statuses) if each.sha == sha]


@route("GET", REPOSITORY + "/commits/{ref}/statuses", "statuses=read")
def statuses(call: Call) -> list[Json]:
    """List what was said of a commit, the latest first."""
    return [_status(call, each) for each in _statuses(call)[1]]


@route("GET", REPOSITORY + "/commits/{ref}/status", "statuses=read")
def combined_status(call: Call) -> Json:
    """Show what all checks of a commit come to."""
    sha, every = _statuses(call)
    latest = {each.context: each for each in reversed(every)}
    states = {each.state for each in latest.values()}
    bad = "failure" if states & {"error", "failure"} else "pending"
    state = "success" if states == {"success"} else bad
    simple = [
        {name: value for name, value in _status(call, each).items() if name != "creator"} for each in latest.values()
    ]
    return {
        "state": state,
        "statuses": simple,
        "sha": sha,
        "total_count": len(simple),
        "repository": repository_in_list(call.server.objects, call.server.store, call.repository, call.caller),
        "commit_url": url(call, f"commits/{sha}"),
        "url": url(call, f"commits/{sha}/status"),
    }


def _deployment(call: Call, it: Deployment) -> Json:
    return {
        **it.model_dump(include={"id", "sha", "ref", "task", "payload", "original_environment", "environment"}),
        **it.model_dump(include={"description", "transient_environment", "production_environment"}),
        "url": url(call, f"deployments/{it.id}"),
        "node_id": node_id("DE", it.id),
        "creator": _creator(call, it.creator),
        "created_at": stamp(it.created_at),
        "updated_at": stamp(it.updated_at),
        "statuses_url": url(call, f"deployments/{it.id}/statuses"),
        "repository_url": url(call, "").rstrip("/"),
    }


def _deployment_status(call: Call, of: Deployment, it: DeploymentStatus) -> Json:
    return {
        **it.model_dump(include={"id", "state", "description", "environment", "environment_url", "log_url"}),
        "url": url(call, f"deployments/{of.id}/statuses/{it.id}"),
        "node_id": node_id("DES", it.id),
        "creator": _creator(call, it.creator),
        "target_url": it.log_url,
        "created_at": stamp(it.created_at),
        "updated_at": stamp(it.updated_at),
        "deployment_url": url(call, f"deployments/{of.id}"),
        "repository_url": url(call, "").rstrip("/"),
    }


@route("GET", REPOSITORY + "/deployments", "deployments=read")
def list_(call: Call) -> list[Json]:
    """List deployments, the latest first."""
    found = [
        each
        for each in reversed(call.repository.deployments.values())
        if all(
            call.query.get(name, getattr(each, name)) == getattr(each, name)
            for name in ("sha", "ref", "task", "environment")
        )
    ]
    return [_deployment(call, each) for each in found]


@route("POST", REPOSITORY + "/deployments", "deployments=write", 201)
def create(call: Call) -> Json:
    """Announce a deployment, if the commit's checks allow it."""
    body = call.body
    sha = git(call).resolve(body["ref"])
    if not sha:
        raise Refusal(422, f"No ref found for: {body['ref']}")
    latest = {each.context: each.state for each in call.repository.statuses if each.sha == sha}
    wanted = body.get("required_contexts", list(latest))
    if any(latest.get(context) != "success" for context in wanted):
        raise Refusal(409, f"Conflict: Commit status checks failed for {body['ref']}.")
    environment = body.get("environment", "production")
    made = Deployment(
        id=call.server.store.new_id(),
        sha=sha,
        ref=body["ref"],
        task=body.get("task", "deploy"),
        payload=body.get("payload", {}),
        original_environment=environment,
        environment=environment,
        description=body.get("description"),
        creator=call.login,
        transient_environment=body.get("transient_environment", False),
        production_environment=body.get("production_environment", environment == "production"),
    )
    call.repository.deployments[made.id] = made
    shown = _deployment(call, made)
    payload: Json = {"action": "created", "deployment": shown, "workflow": None, "workflow_run": None}
    payload |= common(call.server, call.repository, call.login)
    call.server.courier.event(call.repository, "deployment", payload)
    return shown


def _found(call: Call) -> Deployment:
    found = call.repository.deployments.get(call.number("deployment_id"))
    if not found:
        raise not_found()
    return found


@route("GET", DEPLOYMENT, "deployments=read")
def get(call: Call) -> Json:
    """Show a deployment."""
    return _deployment(call, _found(call))


@route("GET", DEPLOYMENT + "/statuses", "deployments=read")
def deployment_statuses(call: Call) -> list[Json]:
    """List how it went, the latest first."""
    of = _found(call)
    return [_deployment_status(call, of, each) for each in reversed(of.statuses)]


@route("POST", DEPLOYMENT + "/statuses", "deployments=write", 201)
def create_deployment_status(call: Call) -> Json:
    """Say how it goes; a success makes earlier ones of the same environment inactive, unless told otherwise."""
    of, body = _found(call), call.body
    _not_too_long(call, "DeploymentStatus")
    environment = body.get("environment", of.environment)
    made = DeploymentStatus(
        id=call.server.store.new_id(),
        state=body["state"],
        creator=call.login,
        description=body.get("description", ""),
        environment=environment,
        environment_url=body.get("environment_url", ""),
        log_url=body.get("log_url") or body.get("target_url", ""),
    )
    if made.state == "success" and body.get("auto_inactive", True):
        for each in call.repository.deployments.values():
            done = each.statuses and each.statuses[-1].state == "success" and each.environment == environment
            if each is not of and done and not each.transient_environment and not each.production_environment:
                inactive = each.statuses[-1].model_copy(update={"id": call.server.store.new_id(), "state": "inactive"})
                each.statuses.append(inactive)
    of.statuses.append(made)
    of.environment, of.updated_at = environment, now()
    shown = _deployment_status(call, of, made)
    payload: Json = {"action": "created", "deployment_status": shown, "deployment": _deployment(call, of)}
    payload |= common(call.server, call.repository, call.login)
    call.server.courier.event(call.repository, "deployment_status", payload)
    return shown
