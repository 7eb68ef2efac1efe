"""What is wrong with a stack's settings, in words for people: each with its key, the fault and the mending command."""

import difflib
from typing import Any, get_args

import pulumi
from pydantic import SecretStr
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from components.settings.certificate import Acme
from components.settings.github import App
from components.settings.model import Database, RegistryLogin, Server, Settings
from components.settings.repositories import Ci, GitHubRepository, Merge

PROJECT = "carica-kestra"


class SettingsError(pulumi.RunError):
    """Everything that is wrong with the stack's settings, each with its key, the fault and the mending command.

    A RunError, which Pulumi shows without a traceback.
    """

    def __init__(self, problems: list[str], subject: str = "the stack's settings have") -> None:
        """Say all `problems` at once, and that `subject` has them."""
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{subject} {count}; nothing was changed.\n" + "\n".join(problems))


_GENERATORS = {
    "encryptionKey": "openssl rand -base64 32",
    "webhookKey": "openssl rand -hex 24",
    "webhookSecret": "openssl rand -hex 32",
    "kestraPassword": "printf 'Kk1%s' $(openssl rand -hex 16)",
    "tlsCertificate": "cat fullchain.pem privkey.pem",
    "adminSshKey": "cat ~/.ssh/id_ed25519",
    "kestraSshKey": "cat kestra_ed25519",
    "deployGitKey": "cat deploy_git_ed25519",
    "registryPassword": "cat token",
    "githubToken": "cat token",
    "githubAppKey": "cat app.private-key.pem",
    "kestraGitToken": "cat token",
    "kestraStatusToken": "cat token",
    "notifyUrl": "cat address",
    "ciSecrets": "cat value",
}
"""What makes each secret; any other is a password."""

_EXAMPLES = {
    "kestraUser": "you@example.com",
    "email": "you@example.com",
    "directory": "https://acme-v02.api.letsencrypt.org/directory",
    "tlsCertificateFile": "edge.pem",
    "httpPort": "80",
    "httpsPort": "443",
    "kestraImage": "kestra/kestra:v2.0.8",
    "hostKey": "\"$(ssh-keyscan -t ed25519 HOST | cut -d' ' -f2-)\"",
    "gitHostKeys[0]": "\"$(ssh-keyscan -t ed25519 HOST | cut -d' ' -f2-)\"",
    "DESK_KNOWN_HOSTS": '"$(ssh-keyscan -t ed25519 HOST)"',
    "user": "deploy",
    "server": "ghcr.io",
    "healthSeconds": "120",
    "visibility": "public",
    "ruleset": "false",
    "wiki": "false",
    "rebase": "true",
    "githubPlan": "team",
    "gh_push_deployment[0]": "push",
    "sync_from_git[0]": "push",
    "gh_workflow_completed[0]": "workflow_run",
    "auto": "false",
    "secretScanning": "false",
    "adopt": "true",
    "databases[0].name": "kestra",
    "deployHosts[0].name": "web",
}

_PLAIN = {
    **dict.fromkeys(("tuple_type", "list_type"), "is not a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "is not an object"),
    "string_type": "is not text",
}
"""What pydantic says of types, in words for people."""

_FIRST = {"databases": "databases[0].name", "deployHosts": "deployHosts[0].name"}
"""Where a list that is not there begins."""


def holds_secrets(annotation: Any) -> bool:
    """Tell whether a field of this type is, may be, or holds secrets."""
    return annotation is SecretStr or any(map(holds_secrets, get_args(annotation)))


SECRETS = {to_camel(name) for name, field in Settings.model_fields.items() if holds_secrets(field.annotation)}
"""Settings that are encrypted in the stack's file, besides the databases' passwords."""


_INNER = {
    name
    for model in (Database, Server, RegistryLogin, GitHubRepository, Merge, Ci, App, Acme)
    for name in model.model_fields
}
"""Fields of what a setting is made of."""


def problem(path: str, fault: str, *, remove: bool = False, mend: str = "") -> str:
    """Return two lines: what is wrong with the setting at `path`, and the command that mends it.

    That is `mend`, or else the one that sets it, or with `remove` the one that removes it.
    """
    return f"  {PROJECT}:{path} {fault}\n      {mend or _command(path, remove)}"


def problems_of(error: ErrorDetails) -> list[str]:
    """Return the same for each fault in an error of pydantic's."""
    path = _path(error)
    if error["type"] != "several":
        # The name of an entry that is none, or a setting that is none: it must go.
        return [problem(path, _fault(error), remove=error["type"] == "extra_forbidden" or error["loc"][-1] == "[key]")]
    return [problem(path + fault.path, fault.words, remove=fault.remove) for fault in error["ctx"]["faults"]]


def _command(path: str, remove: bool) -> str:
    """Return the command that sets or removes `path`, such as `databases[0].password`; secrets come from a pipe."""
    stack = f" --stack {pulumi.get_stack()}"
    path = _FIRST.get(path, path)
    last, top = path.rpartition(".")[2], path.partition(".")[0]
    option = " --path" if last != path or "[" in path else ""
    target = f"'{PROJECT}:{path}'"
    if remove:
        return f"pulumi config rm{option} {target}{stack}"
    if last == "password" or top in SECRETS:
        made = _GENERATORS.get(top, "openssl rand -hex 24")
        return f"{made} | pulumi config set --secret{option} {target}{stack}"
    return f"pulumi config set{option} {target} {_EXAMPLES.get(path) or _EXAMPLES.get(last, '<value>')}{stack}"


def _path(error: ErrorDetails) -> str:
    # A field's default is named by the field, all else by the setting.
    parts = [
        to_camel(part) if part in _INNER or part in Settings.model_fields else part
        for part in error["loc"]
        if part != "[key]"
    ]
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _fault(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is not set"
    if error["type"] == "extra_forbidden":
        known = map(to_camel, Settings.model_fields if len(error["loc"]) == 1 else _INNER)
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return "is not a setting" + (f"; did you mean {near[0]}?" if near else "")
    return _PLAIN.get(error["type"]) or error["msg"].removeprefix("Value error, ")
