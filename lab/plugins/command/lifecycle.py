"""When a command resource runs which of its commands; the same here and on a server."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from lab.plugins.command.talk import Talk, check_logging
from lab.plugins.framework import Failed, Kind, Properties, Screen

COMMANDS = frozenset({"create", "update", "delete"})
PROPERTIES = COMMANDS | {"addPreviousOutputInEnv", "environment", "logging", "stdin", "triggers"}
OUTPUTS = ("stdout", "stderr")

Runner = Callable[[str, Properties, Mapping[str, str], Screen], tuple[Talk, str]]
"""Command, inputs, variables that hold earlier output, screen → what it printed, and why it failed, if it did."""


class _Silent(Screen):
    """The protocol tells a delete of no failure but its own; its output is not shown."""

    def __init__(self) -> None:
        super().__init__(None, "")


def command(run: Runner, more: frozenset[str], check: Callable[[Properties], Mapping[str, str]]) -> Kind:
    """Return a command resource that runs its commands with `run` and takes `more` properties."""

    def ran(line: str | None, inputs: Properties, olds: Properties, screen: Screen) -> Properties:
        before = {name: olds.get(name, "") for name in OUTPUTS}
        if line is None:
            return before
        previous = {}
        if inputs.get("addPreviousOutputInEnv", True):
            previous = {f"PULUMI_COMMAND_{name.upper()}": text for name, text in before.items() if text}
        said, fault = run(line, inputs, previous, screen)
        if fault:
            raise Failed(f"{fault}: running {json.dumps(line, ensure_ascii=False)}:\n{said.both}")
        return dict(said.outputs())

    def create(inputs: Properties, screen: Screen) -> tuple[str, Properties]:
        return f"command-{secrets.token_hex(8)}", inputs | ran(inputs.get("create"), inputs, {}, screen)

    def update(id_: str, olds: Properties, news: Properties, screen: Screen) -> Properties:
        return news | ran(news.get("update", news.get("create")), news, olds, screen)

    def delete(id_: str, outputs: Properties) -> None:
        ran(outputs.get("delete"), outputs, outputs, _Silent())

    return Kind(
        properties=PROPERTIES | more,
        replacing=frozenset({"triggers"}),
        delete_first=False,
        create=create,
        read=as_it_was,
        update=update,
        delete=delete,
        check=lambda inputs: {**check_logging(inputs.get("logging")), **check(inputs)},
        made_anew=frozenset(OUTPUTS),
    )


def as_it_was(id_: str, outputs: Properties) -> Any:
    """Read a resource: like the real plugin, ask nobody."""
    return outputs
