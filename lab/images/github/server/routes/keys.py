"""Deploy keys."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from ..answers import Answer, invalid, not_found
from ..api import Call, route
from ..models import DeployKey, Json, stamp

KEYS = "/repos/{owner}/{repo}/keys"


def _show(call: Call, it: DeployKey) -> Json:
    return {
        "id": it.id,
        "key": it.key,
        "url": f"{call.server.objects.api}/repos/{call.repository.full_name}/keys/{it.id}",
        "title": it.title,
        "verified": True,
        "created_at": stamp(it.created_at),
        "read_only": it.read_only,
        "added_by": it.added_by,
        "last_used": stamp(it.last_used),
        "enabled": True,
    }


@route("GET", KEYS, "administration=read")
def list_(call: Call) -> list[Json]:
    """List the keys."""
    return [_show(call, each) for each in call.repository.keys.values()]


@route("POST", KEYS, "administration=write", 201)
def create(call: Call) -> Answer:
    """Add a key; one key opens one repository of all that there are."""
    key = " ".join(call.body["key"].split()[:2])
    try:
        load_ssh_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise invalid(
            "PublicKey", "key is invalid. You must supply a key in OpenSSH public key format", "key"
        ) from None
    every = call.server.store.state.repositories.values()
    if any(each.key == key for repository in every for each in repository.keys.values()):
        raise invalid("PublicKey", "key is already in use", "key")
    made = DeployKey(
        id=call.server.store.new_id(),
        title=call.body.get("title") or "",
        key=key,
        read_only=call.body.get("read_only", False),
        added_by=call.login,
    )
    call.repository.keys[made.id] = made
    body = _show(call, made)
    return Answer(201, body, {"Location": body["url"]})


def _key(call: Call) -> DeployKey:
    found = call.repository.keys.get(call.number("key_id"))
    if not found:
        raise not_found()
    return found


@route("GET", KEYS + "/{key_id}", "administration=read")
def get(call: Call) -> Json:
    """Show a key."""
    return _show(call, _key(call))


@route("DELETE", KEYS + "/{key_id}", "administration=write")
def delete(call: Call) -> None:
    """Remove a key."""
    del call.repository.keys[_key(call).id]
