"""The real program, run against mocks."""

import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime import rpc

from components import settings as stack_settings
from components.github.access import Found
from tests.unit.recording import Declared, declare
from tests.unit.valid import OPTIONAL_SECRETS, SECRET_KEYS, values

ROOT = Path(__file__).parent.parent.parent
SECRETS = [
    *("superuser-password", "kestra-role-password", "Kestra-login-1", "k" * 24, "s" * 40, "t" * 40, "g" * 40),
    *("state-of-the-desk", "p" * 40, "r" * 40, "u" * 40, "hooks-of-the-chat"),
]
"""What the settings hold that must not be seen."""
TELLING = {"kestraStatusToken": "u" * 40, "notifyUrl": "https://chat.example.com/hooks-of-the-chat"}


def program(
    found: Found | None = None, *, preview: bool = False, hook_addresses: Sequence[str] = (), **changed: Any
) -> list[Declared]:
    """Return what __main__.py declares with otherwise valid settings, where GitHub has what is `found`.

    It says that it sends webhooks from `hook_addresses`.
    """

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            settings = stack_settings.parse(values(**(TELLING | changed)), SECRET_KEYS | OPTIONAL_SECRETS)
            patch.setattr("components.settings.load", lambda: settings)
            patch.setattr("components.github.access.look", lambda settings: found or Found())
            runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    return declare(run, preview=preview, hook_addresses=hook_addresses)


def plain(declared: Declared) -> dict[str, Any]:
    """Inputs with secrets laid open."""
    return {key: _open(value) for key, value in declared.inputs.items()}


def _open(value: Any) -> Any:
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, dict):
        return {key: _open(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_open(each) for each in value]
    return value


def public(value: Any) -> str:
    """All of a value that is not marked secret, as text."""
    if rpc.is_rpc_secret(value):
        return ""
    if isinstance(value, dict):
        return " ".join(f"{key} {public(each)}" for key, each in value.items())
    if isinstance(value, list):
        return " ".join(map(public, value))
    return str(value)
