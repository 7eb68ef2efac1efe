"""docker.Container."""

import time
from typing import Any

from docker.errors import NotFound

from lab.plugins.docker import container_request as engine_form
from lab.plugins.docker.container_request import MIB
from lab.plugins.docker.engine import ERRORS, api, reason, replacing
from lab.plugins.docker.image import pulled
from lab.plugins.framework import Failed, Kind, MadeButFailed, Properties, Screen, cancelled

POLL_SECONDS = 0.25
DEFAULTS: Properties = {
    "attach": False,
    "logs": False,
    "mustRun": True,
    "networkMode": "bridge",
    "readOnly": False,
    "removeVolumes": True,
    "restart": "no",
    "rm": False,
    "start": True,
    "wait": False,
    "waitTimeout": 60,
}
"""What the real plugin fills in."""
IN_PLACE = frozenset({"restart", "maxRetryCount", "memory", "memoryReservation", "memorySwap", "cpuShares", "cpuSet"})
"""What the engine itself changes on a container that is there."""
REMEMBERED = frozenset(
    {"attach", "destroyGraceSeconds", "healthcheck", "init", "logs", "mustRun", "removeVolumes", "rm", "start",
     "tmpfs", "wait", "waitTimeout"}
)  # fmt: skip
"""What the real plugin reports as updated without touching the container (mustRun: unless it is stopped)."""
REPLACED = frozenset(
    {"capabilities", "command", "cpus", "dns", "entrypoints", "envs", "groupAdds", "hostname", "hosts", "image",
     "labels", "logDriver", "logOpts", "name", "networkMode", "networksAdvanced", "ports", "readOnly", "securityOpts",
     "shmSize", "stopSignal", "stopTimeout", "sysctls", "ulimits", "uploads", "user", "volumes", "workingDir"}
)  # fmt: skip


def check(inputs: Properties) -> dict[str, str]:
    """Refuse what is not implemented or never settles."""
    return engine_form.check({**DEFAULTS, **inputs}, api().api_version)


def create(inputs: Properties, show: Screen) -> tuple[str, Properties]:
    """Create the container, lay its files in, start it, and wait for its health or its end if that is asked for."""
    try:
        image = pulled(inputs["image"], show)
    except Failed as error:
        raise Failed(f"Unable to create container with image {inputs['image']}: {error}") from None
    # Docker holds the name the container was made with; by its id it would also be found after the tag moved.
    held = image["imageId"] if inputs["image"].startswith("sha256:") else inputs["image"]
    try:
        body = engine_form.request(inputs, held)
        made = str(api().create_container_from_config(body, inputs["name"])["Id"])  # type: ignore[no-untyped-call]
    except ERRORS as error:
        raise Failed(f"Unable to create container: {reason(error)}") from None
    step = "connect to its networks"
    try:
        _connect(made, inputs)
        step = "upload volume content"
        if uploads := inputs.get("uploads"):
            api().put_archive(made, "/", engine_form.archive(uploads))
        step = "start container"
        if inputs["start"]:
            api().start(made)
        step = "wait for the container"
        if inputs["start"] and inputs["wait"]:
            _wait_for_health(made, inputs["waitTimeout"])
        logs = _attached(made, inputs) if inputs["attach"] else {}
        outputs = _outputs(made, inputs) | logs
        return made, outputs | _differences(api().inspect_container(made), outputs)
    except ERRORS as error:
        raise MadeButFailed(f"Unable to {step}: {reason(error)}", made, _at_least(made, inputs)) from None
    except Failed as error:
        raise MadeButFailed(str(error), made, _at_least(made, inputs)) from None


def _connect(id_: str, inputs: Properties) -> None:
    """Take the container off the default network and connect it to its own ones."""
    networks = inputs.get("networksAdvanced", [])
    if networks and inputs["networkMode"] == "bridge":
        api().disconnect_container_from_network(id_, "bridge")
    for each in networks:
        api().connect_container_to_network(
            id_, each["name"], aliases=each.get("aliases"), ipv4_address=each.get("ipv4Address")
        )


def _wait_for_health(id_: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        state = api().inspect_container(id_)["State"]
        if "Health" not in state:
            raise Failed(
                "you have supplied a 'wait' argument, but the container does not have a healthcheck defined. "
                "Please remove the 'wait' argument or add a 'healthcheck' attribute"
            )
        if state["Health"]["Status"] == "healthy":
            return
        if time.monotonic() > end or cancelled.wait(POLL_SECONDS):
            raise Failed("container failed to be in healthy state")


def _attached(id_: str, inputs: Properties) -> Properties:
    """Wait for the end of the container and return what it printed."""
    while api().inspect_container(id_)["State"]["Running"]:
        if cancelled.wait(POLL_SECONDS):
            raise Failed("Unable to wait container end of execution: interrupted")
    if not inputs["logs"]:
        return {}
    printed: Any = api().logs(id_)
    return {"containerLogs": printed.decode(errors="replace")}


def _at_least(id_: str, inputs: Properties) -> Properties:
    """Return what can be said of a container that failed; the engine itself may be gone."""
    try:
        return _outputs(id_, inputs)
    except ERRORS:
        return inputs


def _outputs(id_: str, inputs: Properties) -> Properties:
    """Return the inputs with what the engine made of the container."""
    found = api().inspect_container(id_)
    config, host = found["Config"], found["HostConfig"]
    computed = {
        "bridge": found["NetworkSettings"]["Bridge"],
        "command": config["Cmd"] or [],
        "entrypoints": config["Entrypoint"] or [],
        "hostname": config["Hostname"],
        "init": bool(host["Init"]),
        "ipcMode": host["IpcMode"],
        "logDriver": host["LogConfig"]["Type"],
        "runtime": host["Runtime"],
        "shmSize": host["ShmSize"] // MIB,
        "stopSignal": config.get("StopSignal", ""),
    }
    return computed | inputs | _current(found)


def _current(found: Properties) -> Properties:
    """Return the outputs that change by themselves."""
    networks = [
        {
            "networkName": name,
            "ipAddress": each["IPAddress"],
            "ipPrefixLength": each["IPPrefixLen"],
            "gateway": each["Gateway"],
            "globalIpv6Address": each["GlobalIPv6Address"],
            "globalIpv6PrefixLength": each["GlobalIPv6PrefixLen"],
            "ipv6Gateway": each["IPv6Gateway"],
            "macAddress": each["MacAddress"],
        }
        for name, each in sorted(found["NetworkSettings"]["Networks"].items())
    ]
    ended = {} if found["State"]["Running"] else {"exitCode": found["State"]["ExitCode"]}
    return {"networkDatas": networks, **ended}


def read(id_: str, outputs: Properties) -> Properties | None:
    """Look at what can differ on a container of the same id; all else of it, as its image and command, cannot.

    Environment, labels, uploads, volumes and networks are not read back by the real plugin either.
    """
    try:
        found = api().inspect_container(id_)
    except NotFound:
        return None
    except ERRORS as error:
        raise Failed(f"Unable to inspect container: {reason(error)}") from None
    held = {key: value for key, value in outputs.items() if key != "exitCode"}
    return held | _current(found) | _differences(found, outputs)


def _differences(found: Properties, held: Properties) -> Properties:
    """Return the held properties that are otherwise in truth."""
    host, running = found["HostConfig"], found["State"]["Running"]
    swap = host["MemorySwap"]
    truth = {
        "name": found["Name"].removeprefix("/"),
        "restart": host["RestartPolicy"]["Name"],
        "maxRetryCount": host["RestartPolicy"]["MaximumRetryCount"],
        "memory": host["Memory"] // MIB,
        "memoryReservation": host["MemoryReservation"] // MIB,
        "memorySwap": swap // MIB if swap > 0 else swap,
        "cpuShares": host["CpuShares"],
        "cpuSet": host["CpusetCpus"],
        "init": bool(host["Init"]),
        "rm": host["AutoRemove"],
        "tmpfs": host.get("Tmpfs", {}),
    }
    if "cpus" in held and engine_form.nano_cpus(held) != host["NanoCpus"]:
        truth["cpus"] = f"{host['NanoCpus'] / 10**9:g}"
    actual = found["Config"].get("Healthcheck") or {}
    if "healthcheck" in held and engine_form.healthcheck(held["healthcheck"]) != actual:
        times = {ours: f"{actual[theirs] / 10**9:g}s" for ours, theirs in engine_form.TIMES.items() if theirs in actual}
        truth["healthcheck"] = {"tests": actual.get("Test", []), "retries": actual.get("Retries", 0), **times}
    if not running and held.get("mustRun"):
        # The next up sees both: ports replace the container, mustRun alone starts it.
        truth |= {"mustRun": False, "ports": []}
    return {key: value for key, value in truth.items() if key in held and held[key] != value}


def update(id_: str, olds: Properties, news: Properties, show: Screen) -> Properties:
    """Start a container that should run, and change limits and restart policy in place."""
    try:
        if news["mustRun"] and news["start"] and not olds.get("mustRun", True):
            api().start(id_)
        if any(olds.get(name) != news.get(name) for name in IN_PLACE):
            resources = engine_form.resources(news)
            api().update_container(
                id_,
                mem_limit=resources["Memory"],
                mem_reservation=resources["MemoryReservation"],
                memswap_limit=resources["MemorySwap"],
                cpu_shares=resources["CpuShares"],
                cpuset_cpus=resources["CpusetCpus"],
                restart_policy=resources["RestartPolicy"],
            )
        outputs = _outputs(id_, news)
    except ERRORS as error:
        raise Failed(f"Unable to update a container: {reason(error)}") from None
    return outputs | ({"containerLogs": olds["containerLogs"]} if "containerLogs" in olds else {})


def delete(id_: str, outputs: Properties) -> None:
    """Stop the container within its grace, then remove it; without a grace it is killed at once."""
    try:
        if not outputs.get("attach"):
            api().stop(id_, timeout=outputs.get("destroyGraceSeconds", 0))
        api().remove_container(id_, v=outputs.get("removeVolumes", True), force=True)
    except NotFound:
        pass
    except ERRORS as error:
        if "is already in progress" not in reason(error):
            raise Failed(f"Error deleting container {id_}: {reason(error)}") from None


KIND = Kind(
    properties=REPLACED | IN_PLACE | REMEMBERED,
    replacing=replacing("docker:index/container:Container"),
    delete_first=True,
    create=create,
    read=read,
    update=update,
    delete=delete,
    check=check,
)
