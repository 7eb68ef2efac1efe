"""Run programs so that a person sees what is going on and a failure says what failed."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

QUIET_SECONDS = 10.0
"""A line of progress at least this often."""

TAIL_LINES = 30


class LabError(Exception):
    """Something the lab could not do, in words for the person at the terminal."""


def say(text: str) -> None:
    """Print one line of progress to standard error, where it mixes with nothing a caller reads."""
    print(text, file=sys.stderr, flush=True)


def run(
    title: str,
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 1800,
) -> str:
    """Run `command` and return its standard output.

    Prints `title` with the seconds gone by while it runs. `env` is added to the environment, `stdin` is what the
    program reads. Raises LabError with the last lines of its output when it fails or outlives `timeout` seconds.
    """
    words = [str(word) for word in command]
    began, shown = time.monotonic(), time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=given, stdout=out, stderr=err, text=True
        )
        try:
            while process.poll() is None:
                now = time.monotonic()
                if now - began > timeout:
                    raise LabError(f"{title}: stopped after {timeout:.0f} s ({words[0]})")
                if now - shown > QUIET_SECONDS:
                    say(f"  {title} … {now - began:.0f} s")
                    shown = now
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        out.seek(0)
        err.seek(0)
        output, errors = out.read(), err.read()
    if process.returncode:
        tail = "\n".join((output + errors).strip().splitlines()[-TAIL_LINES:])
        raise LabError(f"{title}: {words[0]} ended with exit code {process.returncode}\n{tail}")
    return output


def follow(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
    """Run `command` with its output on this terminal; raises LabError when it fails."""
    code = subprocess.run(command, cwd=cwd, env={**os.environ, **env}, check=False).returncode
    if code:
        raise LabError(f"`{' '.join(command)}` ended with exit code {code}: the reason stands above")
