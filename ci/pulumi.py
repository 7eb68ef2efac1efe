"""Run `pulumi`: its output in the log as it comes, and kept for a report, both without the stack's secrets."""

import base64
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from ci.actions import StepError

DIFFERS = 7
"""Exit code of `--expect-no-changes` when there are some."""
HIDDEN = "[secret]"
SHORTEST = 8
"""A secret shorter than this is no secret, and would blot out words."""
CREDENTIALS = ("PASSPHRASE", "TOKEN", "SECRET", "PASSWORD", "KEY")
"""What is in the name of an environment variable that nobody may see."""
WITHHELD = ("GITHUB_TOKEN",)
"""What no program of a pull request is given."""


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and whether it worked."""

    code: int
    text: str


class Pulumi:
    """`pulumi` on one stack, in the current directory."""

    def __init__(self, stack: str, environment: Mapping[str, str]) -> None:
        """Use the CLI on `environment`'s PATH with the log-ins in it."""
        self._stack = stack
        kept = {name: value for name, value in environment.items() if name not in WITHHELD}
        # components/settings says more than the CLI, which would stop first (see ARCHITECTURE.md).
        self._environment = {**kept, "PULUMI_OPTION_SKIP_CONFIG_VALIDATION": "true"}
        found = {form for secret in self._secrets(environment) for form in _forms(secret) if len(form) >= SHORTEST}
        self._hide = sorted(found, key=len, reverse=True)

    def run(self, *words: str) -> Outcome:
        """Run a command that shows a diff, to its end; an interrupt lets it finish what is under way."""
        options = ["--stack", self._stack, "--diff", "--suppress-progress", "--color=never", "--non-interactive"]
        # In a session of its own, so that Ctrl-C at a terminal does not reach it a second time: that would kill it.
        process = subprocess.Popen(
            ["pulumi", *words, *options], env=self._environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        before = signal.signal(signal.SIGINT, lambda *_: process.send_signal(signal.SIGINT))
        lines = []
        for line in process.stdout or ():
            lines.append(self._hidden(line))
            print(lines[-1], end="", flush=True)
        code = process.wait()
        signal.signal(signal.SIGINT, before)
        return Outcome(code, "".join(lines))

    def _hidden(self, text: str) -> str:
        for secret in self._hide:
            text = text.replace(secret, HIDDEN)
        return text

    def _secrets(self, environment: Mapping[str, str]) -> Iterator[str]:
        """Yield what must not be shown.

        Pulumi hides what is marked secret. This is for what it does not know of: an error in which a server repeats its
        input, a program that prints, a secret in an encoding.
        """
        yield from (value for name, value in environment.items() if any(word in name for word in CREDENTIALS))
        yield urlsplit(environment.get("PULUMI_BACKEND_URL", "")).password or ""
        shown = subprocess.run(
            ["pulumi", "config", "--show-secrets", "--json", "--stack", self._stack, "--non-interactive"],
            env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if shown.returncode:
            raise StepError(f"the settings of the stack cannot be read:\n{shown.stderr.strip()}")
        file = Path(f"Pulumi.{self._stack.rpartition('/')[2]}.yaml")
        kept = yaml.safe_load(file.read_text()).get("config") or {}
        for key, setting in json.loads(shown.stdout).items():
            yield from _encrypted(kept.get(key), setting.get("objectValue", setting.get("value")))


def _encrypted(kept: Any, shown: Any) -> Iterator[str]:
    """Yield the texts in `shown`, a setting laid open, that the stack's file keeps encrypted as `secure: …`."""
    if isinstance(kept, dict):
        if "secure" in kept:
            yield from _texts(shown)
        else:
            for key, value in kept.items():
                yield from _encrypted(value, shown[key])
    elif isinstance(kept, list):
        for value, open_ in zip(kept, shown, strict=True):
            yield from _encrypted(value, open_)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _forms(secret: str) -> Iterator[str]:
    """Yield what a secret may look like: its lines, since a diff indents them, and base64."""
    yield from (line.strip() for line in secret.splitlines())
    yield base64.b64encode(secret.encode()).decode()
