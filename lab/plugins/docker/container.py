"""docker.Container, for services."""

import io
import tarfile
import time
from collections.abc import Callable
from typing import Any

from docker.errors import APIError, NotFound

from lab.plugins.docker.engine import api, replacing
from lab.plugins.framework import Failed, Kind, MadeButFailed, Properties

MIB = 1024 * 1024
IN_PLACE = frozenset({"memory", "memorySwap", "restart"})
"""What the engine itself changes on a running container."""
REMEMBERED = frozenset({"destroyGraceSeconds", "healthcheck", "mustRun", "wait", "waitTimeout"})
"""What the real plugin takes on without touching the container, a new healthcheck included (plugin_behaviour.md)."""
REPLACED = frozenset(
    {
        "name", "image", "command", "envs", "user", "capabilities", "securityOpts", "readOnly", "tmpfs", "shmSize",
        "ulimits", "logDriver", "logOpts", "networksAdvanced", "ports", "volumes", "uploads", "stopTimeout",
    }
)  # fmt: skip


def check(inputs: Properties) -> dict[str, str]:
    """Refuse what the real plugin never settles on."""
    if "memory" in inputs and "memorySwap" not in inputs:
        return {"memorySwap": "must be set with memory, or every second preview shows a change (plugin_behaviour.md)"}
    return {}


def create(inputs: Properties, show: Callable[[str], None]) -> tuple[str, Properties]:
    """Create the container, lay its files in, start it, and wait until it is healthy if that is asked for."""
    try:
        made = str(api().create_container_from_config(_config(inputs), inputs["name"])["Id"])  # type: ignore[no-untyped-call]
    except APIError as error:
        raise Failed(f"Unable to create container: {error.explanation}") from None
    try:
        for network in inputs.get("networksAdvanced", [])[1:]:
            api().connect_container_to_network(made, network["name"], aliases=network.get("aliases"))
        if uploads := inputs.get("uploads"):
            api().put_archive(made, "/", _archive(uploads))
        api().start(made)
    except APIError as error:
        raise _failed(made, inputs, f"Unable to start container: {error.explanation}") from None
    if inputs.get("wait"):
        _wait(made, inputs)
    return made, _outputs(made, inputs)


def _config(inputs: Properties) -> Properties:
    """Return the body of the engine's own request to create a container."""
    networks = inputs.get("networksAdvanced") or []
    ports = inputs.get("ports") or []
    capabilities = inputs.get("capabilities", {})
    endpoints = {each["name"]: {"Aliases": each.get("aliases")} for each in networks[:1]}
    return {
        "Image": inputs["image"],
        "Cmd": inputs.get("command"),
        "User": inputs.get("user"),
        "Env": inputs.get("envs"),
        "StopTimeout": inputs.get("stopTimeout"),
        "Healthcheck": _healthcheck(inputs["healthcheck"]) if "healthcheck" in inputs else None,
        "ExposedPorts": {f"{each['internal']}/tcp": {} for each in ports},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
        "HostConfig": {
            "NetworkMode": networks[0]["name"] if networks else "default",
            "Memory": inputs.get("memory", 0) * MIB,
            "MemorySwap": inputs.get("memorySwap", 0) * MIB,
            "RestartPolicy": {"Name": inputs.get("restart", "no")},
            "CapAdd": capabilities.get("adds"),
            "CapDrop": capabilities.get("drops"),
            "SecurityOpt": inputs.get("securityOpts"),
            "ReadonlyRootfs": inputs.get("readOnly", False),
            "Tmpfs": inputs.get("tmpfs"),
            "ShmSize": inputs.get("shmSize", 0) * MIB,
            "Ulimits": [
                {"Name": each["name"], "Soft": each["soft"], "Hard": each["hard"]} for each in inputs.get("ulimits", [])
            ],
            "LogConfig": {"Type": inputs.get("logDriver", "json-file"), "Config": inputs.get("logOpts", {})},
            "Binds": [f"{each['volumeName']}:{each['containerPath']}" for each in inputs.get("volumes", [])],
            "PortBindings": {
                f"{each['internal']}/tcp": [{"HostIp": each["ip"], "HostPort": str(each["external"])}] for each in ports
            },
        },
    }


def _healthcheck(given: Properties) -> Properties:
    names = {"interval": "Interval", "timeout": "Timeout", "startPeriod": "StartPeriod"}
    times = {names[key]: _nanoseconds(given[key]) for key in names if key in given}
    return {"Test": given["tests"], "Retries": given.get("retries", 0), **times}


def _nanoseconds(duration: str) -> int:
    units = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000}
    for unit, factor in units.items():
        if duration.endswith(unit) and duration.removesuffix(unit).isdigit():
            return int(duration.removesuffix(unit)) * factor
    raise Failed(f"the lab's stand-in of docker does not read the duration {duration}")


def _archive(uploads: list[Any]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for upload in uploads:
            content = upload["content"].encode()
            entry = tarfile.TarInfo(upload["file"].lstrip("/"))
            entry.size = len(content)
            entry.mode = int(upload.get("permissions", "0644"), 8)
            entry.mtime = int(time.time())
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def _wait(id_: str, inputs: Properties) -> None:
    end = time.monotonic() + inputs.get("waitTimeout", 60)
    while time.monotonic() < end:
        state = api().inspect_container(id_)["State"]
        if "Health" not in state:
            raise _failed(id_, inputs, "you have supplied a 'wait' argument, but the image has no healthcheck")
        if state["Health"]["Status"] == "healthy":
            return
        time.sleep(0.2)
    raise _failed(id_, inputs, "container failed to be in healthy state")


def _failed(id_: str, inputs: Properties, message: str) -> MadeButFailed:
    return MadeButFailed(message, id_, _outputs(id_, inputs))


def _outputs(id_: str, inputs: Properties) -> Properties:
    found = api().inspect_container(id_)
    networks = [
        {"networkName": name, "ipAddress": each["IPAddress"], "gateway": each["Gateway"]}
        for name, each in found["NetworkSettings"]["Networks"].items()
    ]
    return {**inputs, "networkDatas": networks}


def read(id_: str, outputs: Properties) -> Properties | None:
    """Look at the container; environment and uploads are not read back, as in the real plugin."""
    try:
        found = api().inspect_container(id_)
    except NotFound:
        return None
    host = found["HostConfig"]
    seen = {
        "image": found["Image"] if outputs["image"].startswith("sha256:") else found["Config"]["Image"],
        "restart": host["RestartPolicy"]["Name"],
        "memory": host["Memory"] // MIB,
        "memorySwap": host["MemorySwap"] // MIB,
        "user": found["Config"]["User"],
        "readOnly": host["ReadonlyRootfs"],
    }
    now = {**_outputs(id_, outputs), **{key: value for key, value in seen.items() if key in outputs}}
    if not found["State"]["Running"] and outputs.get("mustRun", True):
        now["mustRun"] = False
        now["ports"] = []
    return now


def update(id_: str, olds: Properties, news: Properties, show: Callable[[str], None]) -> Properties:
    """Change limits and restart policy in place."""
    limits: Properties = {}
    if "memory" in news:
        limits |= {"mem_limit": news["memory"] * MIB, "memswap_limit": news["memorySwap"] * MIB}
    try:
        api().update_container(id_, restart_policy={"Name": news.get("restart", "no")}, **limits)
    except APIError as error:
        raise Failed(f"Unable to update container: {error.explanation}") from None
    return _outputs(id_, news)


def delete(id_: str, outputs: Properties) -> None:
    """Stop the container within its grace, then remove it; without a grace it is killed at once."""
    try:
        if grace := outputs.get("destroyGraceSeconds"):
            api().stop(id_, timeout=grace)
        api().remove_container(id_, v=True, force=True)
    except NotFound:
        pass
    except APIError as error:
        raise Failed(f"Error removing container: {error.explanation}") from None


KIND = Kind(
    properties=REPLACED | IN_PLACE | REMEMBERED,
    replacing=replacing("docker:index/container:Container") | {"tmpfs"},
    delete_first=True,
    create=create,
    read=read,
    update=update,
    delete=delete,
    check=check,
)
