"""command.local.Command: a command on this machine."""

import os
import signal
import subprocess
from collections.abc import Mapping

from lab.plugins.command import lifecycle
from lab.plugins.command.talk import Talk, talk
from lab.plugins.framework import Failed, Properties, Screen

SHELL = ["/bin/sh", "-c"]


def run(command: str, inputs: Properties, previous: Mapping[str, str], screen: Screen) -> tuple[Talk, str]:
    """Run `command` with the interpreter; its own process group is what a cancelled update ends."""
    words = [*(inputs.get("interpreter") or SHELL), command]
    try:
        process = subprocess.Popen(
            words,
            cwd=inputs.get("dir"),
            env={**os.environ, **inputs.get("environment", {}), **previous},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"fork/exec {error.filename}: {error.strerror}") from None
    assert process.stdin and process.stdout and process.stderr  # noqa: S101 - asked for as pipes above
    said = talk(
        (process.stdin, process.stdout, process.stderr),
        inputs.get("stdin", ""),
        inputs.get("logging", "stdoutAndStderr"),
        screen,
        lambda: os.killpg(process.pid, signal.SIGKILL),
    )
    code = process.wait()
    if code < 0:
        return said, f"signal: {signal.strsignal(-code)}"
    return said, f"exit status {code}" if code else ""


KIND = lifecycle.command(run, frozenset({"dir", "interpreter"}), lambda _: {})
