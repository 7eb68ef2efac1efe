"""Webhooks: their settings, pings and tests, and the log of deliveries."""

from typing import Any

from ..answers import Answer, Refusal, invalid, not_found
from ..api import Call, route
from ..events import EVENTS
from ..models import Delivery, Hook, Json, now, stamp
from ..payloads import ping, push

MASKED = "********"
MOST = 20
HOOKS = "/repos/{owner}/{repo}/hooks"
HOOK = HOOKS + "/{hook_id}"


def _config(hook: Hook) -> Json:
    secret = {"secret": MASKED} if hook.secret else {}
    shown = {"url": hook.url, "content_type": hook.content_type, "insecure_ssl": hook.insecure_ssl}
    return shown | secret


def show(call: Call, hook: Hook) -> Json:
    """Return a hook as GitHub shows it: the secret is there, but not what it is."""
    url = f"{call.server.objects.api}/repos/{call.repository.full_name}/hooks/{hook.id}"
    return {
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": _config(hook),
        "updated_at": stamp(hook.updated_at),
        "created_at": stamp(hook.created_at),
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": hook.last_response,
    }


def _hook(call: Call) -> Hook:
    found = call.repository.hooks.get(call.number("hook_id"))
    if not found:
        raise not_found()
    return found


def _checked(call: Call, hook: Hook, others: list[Hook]) -> None:
    unknown = [event for event in hook.events if event not in EVENTS]
    if unknown:
        message = f"Invalid event(s): {', '.join(unknown)}"
        raise Refusal(422, "Validation Failed", errors=[{"resource": "Hook", "code": "custom", "message": message}])
    if not hook.events:
        raise Refusal(
            422, "Validation Failed", errors=[{"resource": "Hook", "code": "custom", "message": "No events were given"}]
        )
    for other in others:
        same = (other.url, other.content_type, other.insecure_ssl) == (hook.url, hook.content_type, hook.insecure_ssl)
        if same and {*other.events} & {*hook.events}:
            raise invalid("Hook", "Hook already exists on this repository")
    for event in hook.events:
        if sum(event in other.events for other in others) >= MOST:
            raise invalid("Hook", f'The "{event}" event cannot have more than {MOST} hooks')


def _given(config: Json) -> dict[str, Any]:
    names = ("url", "content_type", "insecure_ssl", "secret")
    given = {name: str(config[name]) for name in names if config.get(name) is not None}
    if not given.get("url", "http://x").startswith(("http://", "https://")):
        raise invalid("Hook", "url must have a valid scheme", "url")
    if given.get("content_type", "json") not in ("json", "form"):
        raise invalid("Hook", "content_type must be json or form", "content_type")
    if given.get("insecure_ssl", "0") not in ("0", "1"):
        raise invalid("Hook", "insecure_ssl must be 0 or 1", "insecure_ssl")
    return given


@route("GET", HOOKS, "repository_hooks=read")
def list_(call: Call) -> list[Json]:
    """List the hooks."""
    return [show(call, hook) for hook in call.repository.hooks.values()]


@route("POST", HOOKS, "repository_hooks=write", 201)
def create(call: Call) -> Answer:
    """Make a hook and ping it."""
    given = _given(call.body.get("config") or {})
    if "url" not in given:
        raise Refusal(
            422,
            "Validation Failed",
            errors=[{"resource": "Hook", "code": "custom", "field": "url", "message": "url cannot be blank"}],
        )
    if call.body.get("name", "web") != "web":
        raise invalid("Hook", "name must be web", "name")
    events = list(dict.fromkeys(call.body.get("events") or ["push"]))
    hook = Hook(id=call.server.store.new_id(), events=events, active=call.body.get("active", True), **given)
    _checked(call, hook, list(call.repository.hooks.values()))
    call.repository.hooks[hook.id] = hook
    body = show(call, hook)
    if hook.active:
        _ping(call, hook)
    return Answer(201, body, {"Location": body["url"]})


@route("GET", HOOK, "repository_hooks=read")
def get(call: Call) -> Json:
    """Show a hook."""
    return show(call, _hook(call))


@route("PATCH", HOOK, "repository_hooks=write")
def update(call: Call) -> Json:
    """Change a hook. A configuration is given whole: what it leaves out, the secret too, falls to its default."""
    hook = _hook(call)
    changed = hook.model_copy()
    if "config" in call.body:
        given = _given(call.body["config"])
        defaults = {"content_type": "form", "insecure_ssl": "0", "secret": None}
        changed = changed.model_copy(update={**defaults, **given})
    events = call.body.get("events", hook.events)
    events = [*events, *call.body.get("add_events", [])]
    events = [event for event in dict.fromkeys(events) if event not in call.body.get("remove_events", [])]
    active = call.body.get("active", hook.active)
    changed = changed.model_copy(update={"events": events, "active": active, "updated_at": now()})
    _checked(call, changed, [each for each in call.repository.hooks.values() if each.id != hook.id])
    # The object stays the one that deliveries under way answer to.
    for name in Hook.model_fields:
        setattr(hook, name, getattr(changed, name))
    return show(call, hook)


@route("DELETE", HOOK, "repository_hooks=write")
def delete(call: Call) -> None:
    """Delete a hook; its log goes with it."""
    hook = _hook(call)
    del call.repository.hooks[hook.id]
    for each in [each for each in call.repository.deliveries if each.hook_id == hook.id]:
        call.server.store.forget(each.id)
        call.repository.deliveries.remove(each)


@route("GET", HOOK + "/config", "repository_hooks=read")
def config(call: Call) -> Json:
    """Show a hook's configuration."""
    return _config(_hook(call))


@route("PATCH", HOOK + "/config", "repository_hooks=write")
def update_config(call: Call) -> Json:
    """Change only what is given of a hook's configuration."""
    hook = _hook(call)
    for name, value in _given(call.body).items():
        setattr(hook, name, value)
    hook.updated_at = now()
    return _config(hook)


def _ping(call: Call, hook: Hook) -> None:
    call.server.courier.event(
        call.repository, "ping", ping(call.server, call.repository, show(call, hook), call.login), hook
    )


@route("POST", HOOK + "/pings", "repository_hooks=read")
def ping_(call: Call) -> None:
    """Ping a hook."""
    _ping(call, _hook(call))


@route("POST", HOOK + "/tests", "repository_hooks=read")
def test(call: Call) -> None:
    """Send a hook the latest push of the default branch, if it wants pushes."""
    hook = _hook(call)
    branch = f"refs/heads/{call.repository.settings.default_branch}"
    payload = push(call.server, call.repository, branch, None, call.login)
    if payload and {"push", "*"} & set(hook.events):
        call.server.courier.event(call.repository, "push", payload, hook)


def _line(call: Call, it: Delivery) -> Json:
    return {
        **it.model_dump(exclude={"hook_id", "url", "delivered_at"}),
        "delivered_at": stamp(it.delivered_at),
        "installation_id": None,
        "repository_id": call.repository.id,
        "throttled_at": None,
    }


@route("GET", HOOK + "/deliveries", "repository_hooks=read")
def deliveries(call: Call) -> list[Json]:
    """List what was delivered to a hook, the latest first."""
    hook = _hook(call)
    mine = [each for each in call.repository.deliveries if each.hook_id == hook.id]
    if call.query.get("status") == "success":
        mine = [each for each in mine if 200 <= each.status_code < 400]
    if call.query.get("status") == "failure":
        mine = [each for each in mine if not 200 <= each.status_code < 400]
    return [_line(call, each) for each in reversed(mine)]


def _delivery(call: Call) -> Delivery:
    hook, number = _hook(call), call.number("delivery_id")
    for each in call.repository.deliveries:
        if each.hook_id == hook.id and each.id == number:
            return each
    raise not_found()


@route("GET", HOOK + "/deliveries/{delivery_id}", "repository_hooks=read")
def delivery(call: Call) -> Json:
    """Show what was sent and what was answered."""
    found = _delivery(call)
    return {**_line(call, found), "url": found.url, **call.server.store.exchange(found.id)}


@route("POST", HOOK + "/deliveries/{delivery_id}/attempts", "repository_hooks=write", 202)
def redeliver(call: Call) -> Answer:
    """Deliver it once more."""
    call.server.courier.again(call.repository, _hook(call), _delivery(call))
    return Answer(202, {})
