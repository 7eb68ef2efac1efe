"""Rulesets of a repository."""

from ..answers import Refusal, not_found
from ..api import Call, route
from ..models import Json, Ruleset, now, stamp
from ..objects import node_id
from ..rules import bypasses, named
from ..smart_http import actor
from ..views import owner_of

RULESETS = "/repos/{owner}/{repo}/rulesets"
RULESET = RULESETS + "/{ruleset_id}"
UPGRADE = "Upgrade to GitHub Pro or make this repository public to enable this feature."
DEFAULTS: dict[str, Json] = {
    "pull_request": {
        "allowed_merge_methods": ["merge", "squash", "rebase"],
        "required_reviewers": [],
    },
    "required_status_checks": {"do_not_enforce_on_create": False},
    "update": {"update_allows_fetch_and_merge": False},
}
"""What GitHub adds to the parameters of a rule that do not say it."""


def _allowed(call: Call) -> None:
    if call.repository.private and owner_of(call.server.store, call.repository).plan == "free":
        raise Refusal(403, UPGRADE)


def _ruleset(call: Call) -> Ruleset:
    _allowed(call)
    found = call.repository.rulesets.get(call.number("ruleset_id"))
    if not found:
        raise not_found()
    return found


def _short(call: Call, it: Ruleset) -> Json:
    path = f"{call.repository.full_name}/rulesets/{it.id}"
    return {
        "id": it.id,
        "name": it.name,
        "target": it.target,
        "source_type": "Repository",
        "source": call.repository.full_name,
        "enforcement": it.enforcement,
        "node_id": node_id("RRS", it.id),
        "_links": {
            "self": {"href": f"{call.server.objects.api}/repos/{path}"},
            "html": {"href": f"{call.server.objects.web}/{call.repository.full_name}/rules/{it.id}"},
        },
        "created_at": stamp(it.created_at),
        "updated_at": stamp(it.updated_at),
    }


def _whole(call: Call, it: Ruleset) -> Json:
    """Return a ruleset; who may pass it by is shown to who may change it."""
    shown = {**_short(call, it), "conditions": it.conditions, "rules": it.rules}
    if call.caller.may("administration=write", call.repository):
        shown["bypass_actors"] = it.bypass_actors
        passes = bypasses(it, actor(call.caller, call.repository))
        shown["current_user_can_bypass"] = "always" if passes else "never"
    return shown


def _given(call: Call) -> Json:
    """Return what the body sets, with GitHub's defaults."""
    given = {name: value for name, value in call.body.items() if name in Ruleset.model_fields and value is not None}
    if "rules" in given:
        given["rules"] = [_completed(rule) for rule in given["rules"]]
    if "bypass_actors" in given:
        given["bypass_actors"] = [
            {"actor_id": None, "bypass_mode": "always", **each} for each in given["bypass_actors"]
        ]
        for each in given["bypass_actors"]:
            if each["actor_type"] == "DeployKey":
                each["actor_id"] = None
    return given


def _completed(rule: Json) -> Json:
    defaults = DEFAULTS.get(rule["type"], {})
    parameters = {**defaults, **(rule.get("parameters") or {})}
    return {"type": rule["type"], **({"parameters": parameters} if parameters else {})}


def _name_is_free(call: Call, name: str, own: int = 0) -> None:
    if any(each.name == name and each.id != own for each in call.repository.rulesets.values()):
        raise Refusal(422, "Validation Failed", errors=["Name must be unique"])


@route("GET", RULESETS, "metadata=read")
def list_(call: Call) -> list[Json]:
    """List the rulesets, without their rules."""
    _allowed(call)
    return [_short(call, each) for each in call.repository.rulesets.values()]


@route("POST", RULESETS, "administration=write", 201)
def create(call: Call) -> Json:
    """Make a ruleset."""
    _allowed(call)
    given = _given(call)
    _name_is_free(call, given["name"])
    made = Ruleset(id=call.server.store.new_id(), **given)
    call.repository.rulesets[made.id] = made
    return _whole(call, made)


@route("GET", RULESET, "metadata=read")
def get(call: Call) -> Json:
    """Show a ruleset."""
    return _whole(call, _ruleset(call))


@route("PUT", RULESET, "administration=write")
def update(call: Call) -> Json:
    """Change what the body names of a ruleset."""
    it, given = _ruleset(call), _given(call)
    _name_is_free(call, given.get("name", it.name), it.id)
    for name, value in given.items():
        setattr(it, name, value)
    it.updated_at = now()
    return _whole(call, it)


@route("DELETE", RULESET, "administration=write")
def delete(call: Call) -> None:
    """Delete a ruleset."""
    del call.repository.rulesets[_ruleset(call).id]


@route("GET", "/repos/{owner}/{repo}/rules/branches/{branch}", "metadata=read")
def of_branch(call: Call) -> list[Json]:
    """List the rules that are in force for a branch, existing or not."""
    it, ref = call.repository, f"refs/heads/{call.args['branch']}"
    return [
        {**rule, "ruleset_source_type": "Repository", "ruleset_source": it.full_name, "ruleset_id": each.id}
        for each in it.rulesets.values()
        if named(each, it, ref)
        for rule in each.rules
    ]
