"""Where no secret may stand, marked or not: process lists, labels, logs and other programs' pages show it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pulumi_policy import ResourceValidationArgs
from pulumi_policy.proxy import UnknownValueError

from policies.rule import CONTAINER, JOB, Faults, rule

SHOWN = {
    CONTAINER: ("command", "entrypoints", "labels", "healthcheck", "hostname"),
    JOB: ("script", "environment"),
    "command:remote:Command": ("create", "update", "delete", "triggers"),
    "command:local:Command": ("create", "update", "delete", "triggers"),
    "docker:index/network:Network": ("labels",),
    "docker:index/volume:Volume": ("labels",),
    "pulumi-python:dynamic/carica:Flow": ("source", "url"),
    "github:index/actionsVariable:ActionsVariable": ("value",),
    "github:index/actionsEnvironmentVariable:ActionsEnvironmentVariable": ("value",),
}
"""Type → the properties of it that people and programs see."""

LOOKS_LIKE = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    "a URL with a password": re.compile(r"://[^/\s:@]+:[^/\s@${]+@"),
    # Not `password=$(cat file)` or `password={{ secret('NAME') }}`: those fetch it where it is used.
    "a password": re.compile(r"(?i)(password|passwd|secret|token)=(?![\"']?[${])[^\s;&|]"),
}


@rule(*SHOWN, mend="hand it over on stdin, in a file, or in the environment of the one program that needs it")
def no_secret_stands_in_the_open(resource: ResourceValidationArgs) -> Faults:
    """No secret stands in a command line, a label, a script or a flow."""
    for key in SHOWN[resource.resource_type]:
        text = "\n".join(_texts(resource.props.get(key)))
        for what, pattern in LOOKS_LIKE.items():
            if pattern.search(text):
                yield f"has what looks like {what} in `{key}`"


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value, those of a mapping as `key=value`; one not known in a preview is judged by `up`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in value:
            with suppress(UnknownValueError):
                yield from (f"{key}={text}" for text in _texts(value[key]))
    elif isinstance(value, Sequence):
        for index in range(len(value)):
            with suppress(UnknownValueError):
                yield from _texts(value[index])


RULES = [no_secret_stands_in_the_open]
