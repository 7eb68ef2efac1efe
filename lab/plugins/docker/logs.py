"""docker.get_logs."""

from typing import Any, Literal

from lab.plugins.docker.engine import ERRORS, api, reason
from lab.plugins.framework import Failed, Properties

IMPLEMENTED = frozenset(
    {"name", "showStdout", "showStderr", "tail", "timestamps", "discardHeaders", "logsListStringEnabled"}
)


def get_logs(given: Properties) -> Properties:
    """Return what the container printed, line by line; raises Failed when there is no such container."""
    # False and "" are what the real plugin takes for not set.
    unknown = sorted(key for key, value in given.items() if value and key not in IMPLEMENTED)
    if unknown or not given.get("discardHeaders", True):
        what = ", ".join(unknown) or "discardHeaders=False"
        raise Failed(f"getLogs: the lab's stand-in of docker does not implement {what}; install the official plugin")
    try:
        text: Any = api().logs(
            given["name"],
            stdout=given.get("showStdout", True),
            stderr=given.get("showStderr", True),
            timestamps=given.get("timestamps", False),
            tail=_tail(given.get("tail")),
        )
    except ERRORS as error:
        raise Failed(f"dataSourceDockerLogsRead: error while asking for logs {reason(error)}") from None
    lines = text.decode(errors="replace").splitlines() if given.get("logsListStringEnabled", True) else []
    return {**given, "id": given["name"], "logsListStrings": lines}


def _tail(given: str | None) -> int | Literal["all"]:
    if not given or given == "all":
        return "all"
    if not given.isdigit():
        raise Failed(f"getLogs: tail is a number of lines or all, not {given}")
    return int(given)
