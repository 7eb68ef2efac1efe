"""What is said with a running command: its standard input and both of its outputs."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.plugins.framework import Failed, Screen, cancelled

LOGGING = frozenset({"stdout", "stderr", "stdoutAndStderr", "none"})
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Talk:
    """What a command printed."""

    stdout: str
    stderr: str
    both: str
    """In the order of its lines, for the message of a command that failed."""

    def outputs(self) -> dict[str, str]:
        """Return the resource's outputs, which lack the last line's end."""
        return {"stdout": self.stdout.removesuffix("\n"), "stderr": self.stderr.removesuffix("\n")}


def check_logging(value: Any) -> dict[str, str]:
    """Return what is wrong with the property `logging`."""
    if value in LOGGING or value is None:
        return {}
    return {"logging": f"must be one of {', '.join(sorted(LOGGING))}"}


def talk(
    streams: tuple[Any, Any, Any],
    stdin: str,
    logging: str,
    screen: Screen,
    stop: Callable[[], None],
) -> Talk:
    """Give a command its `stdin`, and read what it prints to the end; call `stop` when the engine cancels.

    `streams` are its standard input, output and error as binary files, whichever library they come from.
    """
    given, *printed = streams
    texts: dict[str, list[str]] = {"stdout": [], "stderr": []}
    both: list[str] = []

    def write() -> None:
        # A command need not read what it is given, nor be there any more.
        with contextlib.suppress(OSError), given:
            given.write(stdin.encode())

    def read(name: str, stream: Any) -> None:
        for line in stream:
            text = line.decode(errors="replace")
            texts[name].append(text)
            both.append(text)
            if logging in (name, "stdoutAndStderr"):
                screen(text.rstrip("\n"))

    threading.Thread(target=write, daemon=True).start()
    readers = [
        threading.Thread(target=read, args=(name, stream), daemon=True)
        for name, stream in zip(texts, printed, strict=True)
    ]
    for reader in readers:
        reader.start()
    stopped = False
    for reader in readers:
        while reader.is_alive():
            reader.join(POLL_SECONDS)
            if cancelled.is_set() and not stopped:
                stopped = True
                stop()
    if stopped:
        raise Failed("stopped before it was done, as the update was cancelled")
    return Talk("".join(texts["stdout"]), "".join(texts["stderr"]), "".join(both))
