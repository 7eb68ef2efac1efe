"""What `docker build` needs for the lab's GitHub: its directory, the API's description, and the webhooks' examples."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab import npm
from lab.cache import cached
from lab.github.payloads import EXAMPLES, examples_file
from lab.paths import ROOT

SOURCE = ROOT / "lab" / "images" / "github"
DESCRIPTION = "@octokit/openapi@23.0.2"
"""npm package of GitHub's description of its API."""


def context() -> Path:
    """Return the directory to build the image from."""

    def fill(draft: Path) -> None:
        shutil.copytree(SOURCE, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(examples_file(), draft / "webhook-examples.json")
        (draft / "description.json").write_text(json.dumps(_description()))

    return cached("github-context", (SOURCE, Path(__file__), DESCRIPTION, EXAMPLES), fill)


def _description() -> dict[str, Any]:
    """Return what the server needs of the description: all of it is 13 MB."""
    from lab.images.github.server import routes
    from lab.images.github.server.api import ROUTES

    assert routes  # noqa: S101 (importing them has registered them)

    def fetch(into: Path) -> None:
        package = into / "package"
        npm.install("GitHub's description of its API", DESCRIPTION, package)
        shutil.copy(package / "node_modules/@octokit/openapi/generated/api.github.com.json", into)
        # The package holds it for all editions of GitHub: 385 MB.
        shutil.rmtree(package)

    whole = json.loads((cached("github-description", (DESCRIPTION,), fetch) / "api.github.com.json").read_text())
    return extract(whole, ((each.method, each.template) for each in ROUTES))


EXAMPLES_USED = ("organization-full", "simple-user")
"""Examples that objects are made of though no served operation names them."""


def extract(whole: dict[str, Any], operations: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return `whole` with these operations only, and the components that they lead to."""
    part: dict[str, Any] = {key: whole[key] for key in ("openapi", "info")} | {"paths": {}, "components": {}}
    for method, template in operations:
        part["paths"].setdefault(template, {})[method.lower()] = whole["paths"][template][method.lower()]
    wanted = [part["paths"], *({"$ref": f"#/components/examples/{name}"} for name in EXAMPLES_USED)]
    while wanted:
        for pointer in _references(wanted.pop()):
            _, _, kind, name = pointer.split("/")
            section = part["components"].setdefault(kind, {})
            if name not in section:
                section[name] = whole["components"][kind][name]
                wanted.append(section[name])
    _let_null_in(part)
    return part


def _let_null_in(value: Any) -> None:
    """Make `nullable` mean what GitHub means by it: a validator heeds it beside `type` only."""
    if isinstance(value, dict):
        if value.get("nullable") is True:
            if None not in value.get("enum", [None]):
                value["enum"].append(None)
            for choice in ("oneOf", "anyOf", "allOf"):
                if choice in value:
                    value["anyOf"] = [{"enum": [None]}, {choice: value.pop(choice)}]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _let_null_in(each)


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
