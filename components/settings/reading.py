"""From a stack's configuration to its settings, or to a list of all that is wrong and the commands that mend it."""

import contextlib
import difflib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_origin

import pulumi
import pulumi.runtime.config
import yaml
from pydantic import SecretStr, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from components.settings.model import Settings

PROJECT = "carica-kestra"


_SECRETS = {to_camel(name) for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
"""Settings that are encrypted in the stack's file, besides the databases' passwords."""


class SettingsError(pulumi.RunError):
    """Everything that is wrong with the stack's settings, each with its key, the fault and the mending command.

    A RunError, which Pulumi shows without a traceback.
    """


_GENERATORS = {
    "encryptionKey": "openssl rand -base64 32",
    "webhookKey": "openssl rand -hex 24",
    "webhookSecret": "openssl rand -hex 32",
    "kestraPassword": "printf 'Kk1%s' $(openssl rand -hex 16)",
    "tlsCertificate": "cat fullchain.pem privkey.pem",
    "adminSshKey": "cat ~/.ssh/id_ed25519",
    "kestraSshKey": "cat kestra_ed25519",
    "githubToken": "cat token",
}
"""What makes each secret; any other is a password."""

_EXAMPLES = {
    "kestraUser": "you@example.com",
    "httpPort": "80",
    "httpsPort": "443",
    "kestraImage": "kestra/kestra:v2.0.8",
    "hostKey": "\"$(ssh-keyscan -t ed25519 HOST | cut -d' ' -f2-)\"",
    "user": "deploy",
    "databases[0].name": "kestra",
    "deployHosts[0].name": "web",
    "imageRepositories[0]": "owner/name",
}

_FIRST = {
    "databases": "databases[0].name",
    "deployHosts": "deployHosts[0].name",
    "imageRepositories": "imageRepositories[0]",
}
"""Where a list that is not there begins."""


def _mend(path: str, unknown: bool = False) -> str:
    """Return the command that sets `path`, such as `databases[0].password`; secrets come from a pipe, never argv."""
    stack = f" --stack {pulumi.get_stack()}"
    path = _FIRST.get(path, path)
    last = path.rpartition(".")[2]
    option = " --path" if last != path or "[" in path else ""
    target = f"'{PROJECT}:{path}'"
    if unknown:
        return f"pulumi config rm{option} {target}{stack}"
    if last == "password" or last in _SECRETS:
        return f"{_GENERATORS.get(last, 'openssl rand -hex 24')} | pulumi config set --secret{option} {target}{stack}"
    example = _EXAMPLES.get(path) or _EXAMPLES.get(last, "<value>")
    return f"pulumi config set{option} {target} {example}{stack}"


def _path(error: ErrorDetails) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]]
    return "".join(parts).removeprefix(".")


def _fault(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is not set"
    if error["type"] == "extra_forbidden":
        known = [to_camel(name) for name in Settings.model_fields]
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return "is not a setting" + (f"; did you mean {near[0]}?" if near else "")
    return error["msg"].removeprefix("Value error, ")


def _problem(path: str, fault: str, unknown: bool = False) -> str:
    return f"  {PROJECT}:{path} {fault}\n      {_mend(path, unknown)}"


def _passwords(databases: object) -> dict[str, object]:
    """Return path → value of the passwords in what should be a list of databases."""
    listed = databases if isinstance(databases, list) else []
    return {
        f"databases[{number}].password": each["password"]
        for number, each in enumerate(listed)
        if isinstance(each, dict) and "password" in each
    }


def plain_passwords(stack_file: Path) -> list[str]:
    """Return the paths of the databases' passwords that a stack's file holds in plain text.

    Pulumi tells of a list only that something in it is secret, not which.
    """
    if not stack_file.exists():
        return []
    given = (yaml.safe_load(stack_file.read_text()) or {}).get("config", {})
    passwords = _passwords(given.get(f"{PROJECT}:databases"))
    return [path for path, value in passwords.items() if not isinstance(value, dict)]


def parse(values: Mapping[str, str], secret_keys: Collection[str], plain: Collection[str] = ()) -> Settings:
    """Return the settings in `values` (the stack's own keys, without the project's name).

    `secret_keys` names those that the stack keeps encrypted, `plain` the paths of secrets in lists that it does not.
    Raises SettingsError listing every problem at once.
    """
    typed: dict[str, Any] = dict(values)
    for name, field in Settings.model_fields.items():
        key = to_camel(name)
        if get_origin(field.annotation) is tuple and key in typed:
            # What is no list is refused as such below.
            with contextlib.suppress(json.JSONDecodeError):
                typed[key] = json.loads(typed[key])
    exposed = {key for key in values if key in _SECRETS and key not in secret_keys}
    if "databases" not in secret_keys:
        exposed |= _passwords(typed.get("databases")).keys()
    problems = [
        _problem(path, "is stored in plain text: make it a secret (and change it)")
        for path in sorted(exposed | set(plain))
    ]
    try:
        settings = Settings.model_validate(typed)
    except ValidationError as refused:
        problems += [
            _problem(_path(error), _fault(error), error["type"] == "extra_forbidden")
            for error in refused.errors(include_input=False, include_url=False)
        ]
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise SettingsError(f"the stack's settings have {count}; nothing was changed.\n" + "\n".join(problems))
    return settings


def load() -> Settings:
    """Return the settings of the stack that Pulumi runs this program for; raises SettingsError."""
    prefix = f"{PROJECT}:"
    values = {
        k.removeprefix(prefix): v for k, v in pulumi.runtime.config.get_config_env().items() if k.startswith(prefix)
    }
    secret_keys = {key.removeprefix(prefix) for key in pulumi.runtime.config.get_config_secret_keys_env()}
    return parse(values, secret_keys, plain_passwords(Path(f"Pulumi.{pulumi.get_stack()}.yaml")))


def secret(value: SecretStr) -> pulumi.Output[str]:
    """Hand a secret to a component: from here on Pulumi encrypts it wherever it goes."""
    return pulumi.Output.secret(value.get_secret_value())
