"""Run programs so that a person sees what is going on and a failure says what failed."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

QUIET_SECONDS = 10.0
"""A line of progress at least this often."""

TAIL_LINES = 30
ENDING_SECONDS = 10
"""How long a program may take to end after an interrupt."""

_interrupted = threading.Event()


class LabError(Exception):
    """Something the lab could not do, in words for the person at the terminal."""


def say(text: str) -> None:
    """Print one line of progress to standard error, where it mixes with nothing a caller reads."""
    print(text, file=sys.stderr, flush=True)


def end_all_on_interrupt() -> None:
    """Have Ctrl-C end what `run` does in every thread: Python tells the main one only, which waits for the others."""

    def tell(*_: object) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, tell)


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
    program reads. Raises LabError with the last lines of its output when it fails or outlives `timeout` seconds, and
    KeyboardInterrupt, in any thread, once the person has interrupted.
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
        if _interrupted.is_set():
            raise KeyboardInterrupt
        try:
            process = subprocess.Popen(
                words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=given, stdout=out, stderr=err, text=True
            )
        except FileNotFoundError as error:
            raise _missing(title, error) from None
        try:
            while process.poll() is None:
                now = time.monotonic()
                if now - began > timeout:
                    raise LabError(f"{title}: stopped after {timeout:.0f} s ({words[0]})")
                if now - shown > QUIET_SECONDS:
                    say(f"  {title} … {now - began:.0f} s")
                    shown = now
                time.sleep(0.05)
                if _interrupted.is_set():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            _wait(process)
            raise
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        # It may have ended, with any code, because the terminal told it before this thread looked.
        if _interrupted.is_set():
            raise KeyboardInterrupt
        out.seek(0)
        err.seek(0)
        output, errors = out.read(), err.read()
    if process.returncode:
        tail = "\n".join((output + errors).strip().splitlines()[-TAIL_LINES:])
        raise LabError(f"{title}: {words[0]} ended with exit code {process.returncode}\n{tail}")
    return output


def follow(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
    """Run `command` with its output on this terminal; raises LabError when it fails.

    Ctrl-C is the program's: the terminal tells it too, `pulumi` then finishes what is under way and unlocks its state.
    Once it has ended, KeyboardInterrupt is raised.
    """
    before = signal.signal(signal.SIGINT, lambda *_: _interrupted.set())
    try:
        code = subprocess.Popen(command, cwd=cwd, env={**os.environ, **env}).wait()
    except FileNotFoundError as error:
        raise _missing(command[0], error) from None
    finally:
        signal.signal(signal.SIGINT, before)
    if _interrupted.is_set():
        raise KeyboardInterrupt
    if code:
        raise LabError(f"`{' '.join(command)}` ended with exit code {code}: the reason stands above")


def _missing(title: str, error: FileNotFoundError) -> LabError:
    return LabError(f"{title}: this machine has no {error.filename}; install it")


def _wait(process: subprocess.Popen[str]) -> None:
    """Let a program end that the terminal has told: a package manager is not to be killed half-way."""
    end = time.monotonic() + ENDING_SECONDS
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
