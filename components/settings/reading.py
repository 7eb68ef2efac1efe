"""From a stack's configuration to its settings."""

import contextlib
import json
from collections.abc import Collection, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, get_args, get_origin

import pulumi
import pulumi.runtime.config
import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from components.settings.model import Settings
from components.settings.problems import PROJECT, SECRETS, SettingsError, problem, problems_of


def plain_secrets(stack_file: Path) -> list[str]:
    """Return the paths of secrets inside lists and objects that a stack's file holds in plain text.

    Pulumi tells of a list or an object only that something in it is secret, not which.
    """
    document = (yaml.safe_load(stack_file.read_text()) if stack_file.exists() else None) or {}
    given = {key.removeprefix(f"{PROJECT}:"): value for key, value in document.get("config", {}).items()}
    return [path for path, value in _inner_secrets(given).items() if not isinstance(value, dict)]


def _inner_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return path → value of the secrets inside a list or an object, if there is one and it is not encrypted whole."""
    databases, ci = values.get("databases"), values.get("ciSecrets")
    passwords = {
        f"databases[{number}].password": each["password"]
        for number, each in enumerate(databases if isinstance(databases, list) else [])
        if isinstance(each, dict) and "password" in each
    }
    named = ci if isinstance(ci, dict) and "secure" not in ci else {}
    return passwords | {f"ciSecrets.{name}": value for name, value in named.items()}


def _plain_secrets(values: Mapping[str, Any], secret_keys: Collection[str]) -> set[str]:
    """Return the paths of secrets of which Pulumi says that nothing in them is encrypted."""
    open_ = {key: value for key, value in values.items() if key not in secret_keys}
    return {key for key, value in open_.items() if key in SECRETS and value and isinstance(value, str)} | set(
        _inner_secrets(open_)
    )


def _is_structured(annotation: Any) -> bool:
    """Tell whether Pulumi hands a setting of this type over as JSON."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return get_origin(annotation) in (tuple, dict) or any(map(_is_structured, get_args(annotation)))


def _typed(values: Mapping[str, str]) -> dict[str, Any]:
    """Return values as the fields take them; without those that are empty because Pulumi.yaml says so.

    It gives a default to every setting: one without is reported by Pulumi itself, without the command that mends it.
    """
    typed: dict[str, Any] = dict(values)
    for name, field in Settings.model_fields.items():
        key = to_camel(name)
        if key in typed and _is_structured(field.annotation):
            # What is no JSON is refused as what it is.
            with contextlib.suppress(json.JSONDecodeError):
                typed[key] = json.loads(typed[key])
        if key in typed and typed[key] in ("", {}) and (field.is_required() or field.default is None):
            del typed[key]
    return typed


def parse(values: Mapping[str, str], secret_keys: Collection[str], plain: Collection[str] = ()) -> Settings:
    """Return the settings in `values` (the stack's own keys, without the project's name).

    `secret_keys` names those that the stack keeps encrypted, `plain` the paths of secrets inside others that it does
    not. Raises SettingsError listing every problem at once.
    """
    typed = _typed(values)
    problems = [
        problem(path, "is stored in plain text: make it a secret (and change it)")
        for path in sorted({*_plain_secrets(typed, secret_keys), *plain})
    ]
    try:
        context = {"plan": values.get("githubPlan") or "free", "values": typed}
        settings = Settings.model_validate(typed, context=context)
    except ValidationError as refused:
        problems += chain.from_iterable(map(problems_of, refused.errors(include_input=False, include_url=False)))
    if problems:
        raise SettingsError(problems)
    return settings


def load() -> Settings:
    """Return the settings of the stack that Pulumi runs this program for; raises SettingsError."""
    prefix = f"{PROJECT}:"
    values = {
        k.removeprefix(prefix): v for k, v in pulumi.runtime.config.get_config_env().items() if k.startswith(prefix)
    }
    secret_keys = {key.removeprefix(prefix) for key in pulumi.runtime.config.get_config_secret_keys_env()}
    settings = parse(values, secret_keys, plain_secrets(Path(f"Pulumi.{pulumi.get_stack()}.yaml")))
    if settings.expiring:
        pulumi.log.warn(settings.expiring)
    return settings


def secret(value: SecretStr) -> pulumi.Output[str]:
    """Hand a secret to a component: from here on Pulumi encrypts it wherever it goes."""
    return pulumi.Output.secret(value.get_secret_value())
