"""A container's properties as the engine's own request to create one, and what of them is refused."""

import base64
import io
import re
import tarfile
import time
from typing import Any

from lab.plugins.docker import refusal
from lab.plugins.framework import Properties

MIB = 1024 * 1024
START_INTERVAL_API = (1, 44)
"""Older engines ignore a healthcheck's startInterval."""
NESTED = {
    "capabilities": frozenset({"adds", "drops"}),
    "healthcheck": frozenset({"tests", "interval", "timeout", "retries", "startPeriod", "startInterval"}),
    "hosts": frozenset({"host", "ip"}),
    "labels": frozenset({"label", "value"}),
    "networksAdvanced": frozenset({"name", "aliases", "ipv4Address"}),
    "ports": frozenset({"internal", "external", "ip", "protocol"}),
    "ulimits": frozenset({"name", "soft", "hard"}),
    "uploads": frozenset({"file", "content", "contentBase64", "permissions", "executable"}),
    "volumes": frozenset({"volumeName", "hostPath", "containerPath", "readOnly"}),
}
RESTARTS = ("no", "on-failure", "always", "unless-stopped")
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "startPeriod": "StartPeriod",
    "startInterval": "StartInterval",
}


def check(inputs: Properties, api_version: str) -> dict[str, str]:
    """Return a fault for each property that is not implemented, wrong, or that the real plugin never settles on."""
    faults = {}
    if "name" not in inputs:
        faults["name"] = "must be set: the lab's stand-in of docker makes up no names"
    if "memory" in inputs and "memorySwap" not in inputs:
        faults["memorySwap"] = "must be set with memory, or every second preview shows a change (plugin_behaviour.md)"
    if inputs["restart"] not in RESTARTS and not _is_unknown(inputs["restart"]):
        faults["restart"] = f"must be one of {', '.join(RESTARTS)}"
    if inputs["rm"] and inputs["attach"]:
        faults["rm"] = "cannot go with attach: the container would be gone before its exit code is read"
    if any("external" not in each for each in _items(inputs, "ports")):
        faults["ports"] = "external must be set: the lab's stand-in of docker does not report a port the engine picks"
    if any(len({"content", "contentBase64"} & set(each)) != 1 for each in _items(inputs, "uploads")):
        faults["uploads"] = "each needs either content or contentBase64"
    if any(not each.get("containerPath") for each in _items(inputs, "volumes")):
        faults["volumes"] = "each needs a containerPath"
    if "" in inputs.get("command", []):
        faults["command"] = "values may not be empty"
    return faults | _healthcheck_faults(inputs.get("healthcheck", {}), api_version) | refusal.nested(inputs, NESTED)


def _is_unknown(value: Any) -> bool:
    """Tell whether `value` is known only once something else is made; the protocol gives such a one as a UUID."""
    return bool(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", str(value)))


def _items(inputs: Properties, name: str) -> list[Properties]:
    given = inputs.get(name, [])
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _healthcheck_faults(given: Any, api_version: str) -> dict[str, str]:
    if not isinstance(given, dict):
        return {}
    for name in TIMES.keys() & given.keys():
        if not _is_unknown(given[name]) and not re.fullmatch(f"(?:{DURATION.pattern})+", str(given[name])):
            return {"healthcheck": f"{name}: {given[name]!r} is no duration like 30s or 1m30s"}
    if "startInterval" in given and tuple(map(int, api_version.split("."))) < START_INTERVAL_API:
        return {"healthcheck": f"startInterval: an engine of API {api_version} has none; it takes 1.44"}
    return {}


def request(inputs: Properties, image_id: str) -> Properties:
    """Return the body of the engine's request to create the container, without its networks."""
    ports, capabilities = inputs.get("ports", []), inputs.get("capabilities", {})
    body = {
        "Image": image_id,
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "Env": inputs.get("envs"),
        "User": inputs.get("user", ""),
        "WorkingDir": inputs.get("workingDir", ""),
        "Hostname": inputs.get("hostname", ""),
        "Labels": {each["label"]: each["value"] for each in inputs.get("labels", [])},
        "StopSignal": inputs.get("stopSignal", ""),
        "StopTimeout": inputs.get("stopTimeout"),
        "Tty": False,
        "Healthcheck": healthcheck(inputs["healthcheck"]) if "healthcheck" in inputs else None,
        "ExposedPorts": {_port(each): {} for each in ports},
        "Volumes": {each["containerPath"]: {} for each in inputs.get("volumes", [])},
        "HostConfig": {
            **resources(inputs),
            "Init": inputs.get("init", False),
            "AutoRemove": inputs["rm"],
            "ReadonlyRootfs": inputs["readOnly"],
            "NetworkMode": inputs["networkMode"],
            "PortBindings": {
                name: [_binding(each) for each in ports if _port(each) == name] for name in set(map(_port, ports))
            },
            "Binds": [_bind(each) for each in inputs.get("volumes", []) if _source(each)],
            "Tmpfs": inputs.get("tmpfs"),
            "ShmSize": inputs.get("shmSize", 0) * MIB,
            "Sysctls": inputs.get("sysctls"),
            "Ulimits": [
                {"Name": each["name"], "Soft": each["soft"], "Hard": each["hard"]} for each in inputs.get("ulimits", [])
            ],
            "GroupAdd": inputs.get("groupAdds"),
            "CapAdd": capabilities.get("adds"),
            "CapDrop": capabilities.get("drops"),
            "SecurityOpt": inputs.get("securityOpts"),
            "LogConfig": {"Type": inputs.get("logDriver", ""), "Config": inputs.get("logOpts", {})},
            "Dns": inputs.get("dns"),
            "ExtraHosts": [f"{each['host']}:{each['ip']}" for each in inputs.get("hosts", [])],
        },
    }
    if "cpus" in inputs:
        body["HostConfig"]["NanoCpus"] = nano_cpus(inputs)
    return body


def resources(inputs: Properties) -> Properties:
    """Return what the engine can change on a container that is there."""
    swap = inputs.get("memorySwap", 0)
    return {
        "Memory": inputs.get("memory", 0) * MIB,
        "MemoryReservation": inputs.get("memoryReservation", 0) * MIB,
        "MemorySwap": swap * MIB if swap > 0 else swap,
        "CpuShares": inputs.get("cpuShares", 0),
        "CpusetCpus": inputs.get("cpuSet", ""),
        "RestartPolicy": {"Name": inputs["restart"], "MaximumRetryCount": inputs.get("maxRetryCount", 0)},
    }


def nano_cpus(inputs: Properties) -> int:
    """Return `cpus` in the engine's unit."""
    return round(float(inputs["cpus"]) * 10**9)


def healthcheck(given: Properties) -> Properties:
    """Return a healthcheck as the engine holds it, which leaves zeros out."""
    check = {"Test": given.get("tests"), "Retries": given.get("retries", 0)}
    check |= {theirs: _nanoseconds(given[ours]) for ours, theirs in TIMES.items() if ours in given}
    return {key: value for key, value in check.items() if value}


def _nanoseconds(duration: str) -> int:
    return round(sum(float(number) * NANOSECONDS[unit] for number, unit in DURATION.findall(duration)))


def _port(given: Properties) -> str:
    return f"{given['internal']}/{given.get('protocol', 'tcp')}"


def _binding(given: Properties) -> Properties:
    return {"HostIp": given.get("ip", "0.0.0.0"), "HostPort": str(given["external"])}  # noqa: S104 - the real default


def _source(given: Properties) -> str:
    return str(given.get("hostPath") or given.get("volumeName") or "")


def _bind(given: Properties) -> str:
    return f"{_source(given)}:{given['containerPath']}:{'ro' if given.get('readOnly') else 'rw'}"


def archive(uploads: list[Any]) -> bytes:
    """Return a tar archive of `uploads`; they belong to root, as in the real plugin."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for upload in uploads:
            if "contentBase64" in upload:
                content = base64.b64decode(upload["contentBase64"])
            else:
                content = upload["content"].encode()
            entry = tarfile.TarInfo(upload["file"].lstrip("/"))
            entry.size = len(content)
            entry.mode = int(upload.get("permissions") or ("0744" if upload.get("executable") else "0644"), 8)
            entry.mtime = int(time.time())
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
