"""GitHub Actions: secrets and variables, of a repository and of its environments, and what workflows may do."""

import base64
import re

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from ..answers import Answer, Refusal, Wrapped, not_found
from ..api import Call, Handler, route
from ..models import Environment, Json, Repository, Secret, Variable, now, stamp
from .environments import ENVIRONMENT, environment

REPOSITORY = "/repos/{owner}/{repo}"
PERMISSIONS = REPOSITORY + "/actions/permissions"
NAME = re.compile(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*")
BAD_NAME = (
    "names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces are not allowed. "
    "Must start with a letter ([a-z], [A-Z]) or underscores (_)."
)

Holder = Repository | Environment


def _holder(call: Call) -> Holder:
    return environment(call) if "environment_name" in call.args else call.repository


def _checked(name: str, kind: str) -> str:
    if not NAME.fullmatch(name.upper()):
        raise Refusal(422, f"{kind} {BAD_NAME}")
    return name.upper()


def _times(it: Secret | Variable) -> Json:
    return {"created_at": stamp(it.created_at), "updated_at": stamp(it.updated_at)}


def _key_id(holder: Holder) -> str:
    return str(568250167242549743 + holder.id)


def public_key(call: Call) -> Json:
    """Show the key that secrets are sealed for."""
    private = PrivateKey(base64.b64decode(_holder(call).private_key))
    return {"key_id": _key_id(_holder(call)), "key": base64.b64encode(bytes(private.public_key)).decode()}


def secrets(call: Call) -> Wrapped:
    """List the secrets' names."""
    items = [{"name": name, **_times(each)} for name, each in sorted(_holder(call).secrets.items())]
    return Wrapped("secrets", items)


def _secret(call: Call) -> Secret:
    found = _holder(call).secrets.get(call.args["secret_name"].upper())
    if not found:
        raise not_found()
    return found


def secret(call: Call) -> Json:
    """Show a secret's name and times."""
    return {"name": call.args["secret_name"].upper(), **_times(_secret(call))}


def put_secret(call: Call) -> Answer:
    """Keep a secret, if it was sealed for the key."""
    holder, name = _holder(call), _checked(call.args["secret_name"], "Secret")
    if call.body["key_id"] != _key_id(holder):
        raise Refusal(422, "Key ID does not match the public key of this repository or environment.")
    try:
        SealedBox(PrivateKey(base64.b64decode(holder.private_key))).decrypt(
            base64.b64decode(call.body["encrypted_value"])
        )
    except (CryptoError, ValueError):
        raise Refusal(
            422, "The value was not encrypted for the public key of this repository or environment."
        ) from None
    known = holder.secrets.get(name)
    if known:
        known.encrypted_value, known.updated_at = call.body["encrypted_value"], now()
        return Answer(204)
    holder.secrets[name] = Secret(encrypted_value=call.body["encrypted_value"])
    return Answer(201, {})


def delete_secret(call: Call) -> None:
    """Forget a secret."""
    assert _secret(call)  # noqa: S101 (refused when it is not there)
    del _holder(call).secrets[call.args["secret_name"].upper()]


def _variable_view(name: str, it: Variable) -> Json:
    return {"name": name, "value": it.value, **_times(it)}


def variables(call: Call) -> Wrapped:
    """List the variables."""
    return Wrapped("variables", [_variable_view(name, each) for name, each in sorted(_holder(call).variables.items())])


def _variable(call: Call) -> Variable:
    found = _holder(call).variables.get(call.args["name"].upper())
    if not found:
        raise not_found()
    return found


def variable(call: Call) -> Json:
    """Show a variable."""
    return _variable_view(call.args["name"].upper(), _variable(call))


def create_variable(call: Call) -> Answer:
    """Make a variable."""
    name, holder = _checked(call.body["name"], "Variable"), _holder(call)
    if name in holder.variables:
        raise Refusal(409, "Already exists - Variable already exists")
    holder.variables[name] = Variable(value=call.body["value"])
    return Answer(201, {})


def update_variable(call: Call) -> None:
    """Change a variable's value, or its name."""
    it, holder, old = _variable(call), _holder(call), call.args["name"].upper()
    name = _checked(call.body.get("name", old), "Variable")
    if name != old and name in holder.variables:
        raise Refusal(409, "Already exists - Variable already exists")
    it.value, it.updated_at = call.body.get("value", it.value), now()
    holder.variables[name] = holder.variables.pop(old)


def delete_variable(call: Call) -> None:
    """Forget a variable."""
    assert _variable(call)  # noqa: S101 (refused when it is not there)
    del _holder(call).variables[call.args["name"].upper()]


def _register(base: str, secrets_: str, variables_: str) -> None:
    """Serve all of these below `base`; the permissions are other ones for environments."""
    operations: list[tuple[str, str, str, Handler]] = [
        ("GET", "/secrets/public-key", f"{secrets_}=read", public_key),
        ("GET", "/secrets", f"{secrets_}=read", secrets),
        ("GET", "/secrets/{secret_name}", f"{secrets_}=read", secret),
        ("PUT", "/secrets/{secret_name}", f"{secrets_}=write", put_secret),
        ("DELETE", "/secrets/{secret_name}", f"{secrets_}=write", delete_secret),
        ("GET", "/variables", f"{variables_}=read", variables),
        ("POST", "/variables", f"{variables_}=write", create_variable),
        ("GET", "/variables/{name}", f"{variables_}=read", variable),
        ("PATCH", "/variables/{name}", f"{variables_}=write", update_variable),
        ("DELETE", "/variables/{name}", f"{variables_}=write", delete_variable),
    ]
    for method, path, needs, handler in operations:
        route(method, base + path, needs)(handler)


_register(REPOSITORY + "/actions", "secrets", "actions_variables")
_register(ENVIRONMENT, "environments", "environments")


@route("GET", PERMISSIONS, "administration=read")
def permissions(call: Call) -> Json:
    """Show whether Actions run here, and which."""
    it = call.repository.actions
    shown: Json = {"enabled": it.enabled, "sha_pinning_required": it.sha_pinning_required}
    if it.enabled:
        shown["allowed_actions"] = it.allowed_actions
    if it.allowed_actions == "selected":
        shown["selected_actions_url"] = (
            f"{call.server.objects.api}/repos/{call.repository.full_name}/actions/permissions/selected-actions"
        )
    return shown


@route("PUT", PERMISSIONS, "administration=write")
def set_permissions(call: Call) -> None:
    """Say whether Actions run here, and which."""
    for name in ("enabled", "allowed_actions", "sha_pinning_required"):
        if call.body.get(name) is not None:
            setattr(call.repository.actions, name, call.body[name])


def _selected(call: Call) -> None:
    if call.repository.actions.allowed_actions != "selected":
        raise Refusal(409, "Allowed actions are not set to selected for this repository.")


@route("GET", PERMISSIONS + "/selected-actions", "administration=read")
def selected_actions(call: Call) -> Json:
    """Show which actions run where only selected ones do."""
    _selected(call)
    it = call.repository.actions
    return it.model_dump(include={"github_owned_allowed", "verified_allowed", "patterns_allowed"})


@route("PUT", PERMISSIONS + "/selected-actions", "administration=write")
def set_selected_actions(call: Call) -> None:
    """Select actions."""
    _selected(call)
    for name in ("github_owned_allowed", "verified_allowed", "patterns_allowed"):
        if call.body.get(name) is not None:
            setattr(call.repository.actions, name, call.body[name])


@route("GET", PERMISSIONS + "/workflow", "administration=read")
def workflow_permissions(call: Call) -> Json:
    """Show what the token of a workflow may do unless the workflow says otherwise."""
    it = call.repository.actions
    return it.model_dump(include={"default_workflow_permissions", "can_approve_pull_request_reviews"})


@route("PUT", PERMISSIONS + "/workflow", "administration=write")
def set_workflow_permissions(call: Call) -> None:
    """Say what the token of a workflow may do."""
    for name in ("default_workflow_permissions", "can_approve_pull_request_reviews"):
        if call.body.get(name) is not None:
            setattr(call.repository.actions, name, call.body[name])


@route("GET", PERMISSIONS + "/access", "administration=read")
def access(call: Call) -> Json:
    """Show which other repositories may use the workflows of a private one."""
    _private(call)
    return {"access_level": call.repository.actions.access_level}


@route("PUT", PERMISSIONS + "/access", "administration=write")
def set_access(call: Call) -> None:
    """Say which other repositories may use them."""
    _private(call)
    call.repository.actions.access_level = call.body["access_level"]


def _private(call: Call) -> None:
    if not call.repository.private:
        raise Refusal(422, "Access policy only applies to internal and private repositories.")
