"""GitHub's published description of its API, and whether a request or an answer is what it says."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

from .models import Json

ROOT = "urn:github"
NOT_DESCRIBED = {400, 401, 403, 404, 422, 429, 500, 501, 502, 503}
"""Every operation may answer these, though its description names only some; they hold a message at least."""

UNDESCRIBED = {("/repos/{owner}/{repo}/environments/{environment_name}", "can_admins_bypass")}
"""What GitHub takes though its description does not know it; the pulumi-github plugin sends it."""

KINDS = {"string": "a string", "integer": "an integer", "number": "a number", "boolean": "a boolean"}


class Description:
    """The part of the description that the lab serves."""

    def __init__(self, file: Path) -> None:
        """Read it from `file`, which lab/github_build.py makes."""
        self._document: Json = json.loads(file.read_text())
        self.version: str = self._document["info"]["version"]
        resource = DRAFT4.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(ROOT, resource)
        self._validator = cache(self._new_validator)

    def example(self, name: str) -> Json:
        """Return a copy of a named example."""
        return copy.deepcopy(dict(self._document["components"]["examples"][name]["value"]))

    def operation(self, method: str, template: str) -> Json:
        """Return what is said of an operation; raises KeyError when nothing is."""
        return dict(self._document["paths"][template][method.lower()])

    def request_problems(self, method: str, template: str, query: dict[str, str], body: Any) -> list[str]:
        """Return what is wrong with a request, in GitHub's words as far as they are known."""
        operation = self.operation(method, template)
        problems = list(self._query_problems(operation, query))
        described = operation.get("requestBody", {})
        if body is None:
            return [*problems, "A JSON object was not supplied."] if described.get("required") else problems
        if not described:
            return problems
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if (template, name) not in UNDESCRIBED}
        pointer = f"/paths/{_escape(template)}/{method.lower()}/requestBody/content/application~1json/schema"
        return [*problems, *(_worded(error) for error in self._validator(pointer).iter_errors(body))]

    def _query_problems(self, operation: Json, query: dict[str, str]) -> Iterator[str]:
        for parameter in operation.get("parameters", []):
            described = self._resolved(parameter)
            if described["in"] != "query" or described["name"] not in query:
                continue
            value, schema = query[described["name"]], self._resolved(described["schema"])
            if "enum" in schema and value not in schema["enum"]:
                yield f'"{value}" is not a member of {json.dumps(schema["enum"])}.'
            if schema.get("type") == "integer" and not value.isdigit():
                yield f'"{value}" is not an integer.'

    def answer_problems(self, method: str, template: str, status: int, body: Any) -> list[str]:
        """Return what is wrong with an answer of ours."""
        responses = self.operation(method, template)["responses"]
        if str(status) not in responses:
            if status in NOT_DESCRIBED:
                return [] if isinstance(body, dict) and "message" in body else ["an error without a message"]
            return [f"{status} is none of the answers {', '.join(responses)}"]
        pointer = f"/paths/{_escape(template)}/{method.lower()}/responses/{status}"
        content = self._at(pointer).get("content", {})
        if "application/json" not in content:
            return [] if body is None else [f"{status} has no content"]
        if body is None:
            return ["no content"]
        pointer = f"{self._where(pointer)}/content/application~1json/schema"
        errors = self._validator(pointer).iter_errors(body)
        return [f"{error.json_path}: {error.message[:200]}" for error in errors]

    def _new_validator(self, pointer: str) -> Any:
        return OAS30Validator({"$ref": f"{ROOT}#{pointer}"}, registry=self._registry)

    def _resolved(self, thing: Json) -> Json:
        return self._resolved(self._at(thing["$ref"][1:])) if "$ref" in thing else thing

    def _at(self, pointer: str) -> Json:
        return dict(self._registry.resolver().lookup(f"{ROOT}#{self._where(pointer)}").contents)

    def _where(self, pointer: str) -> str:
        """Follow a reference that stands at `pointer` itself."""
        found = self._registry.resolver().lookup(f"{ROOT}#{pointer}").contents
        return self._where(found["$ref"][1:]) if "$ref" in found else pointer


def _escape(template: str) -> str:
    return template.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _worded(error: Any) -> str:
    where = "/".join(["properties", *(str(part) for part in error.absolute_path)])
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return f'"{missing}" wasn\'t supplied.'
    shown = "nil" if error.instance is None else json.dumps(error.instance)[:100]
    if error.validator == "type":
        kind = KINDS.get(error.validator_value, f"an {error.validator_value}")
        return f"For '{where}', {shown} is not {kind}."
    if error.validator == "enum":
        return f"For '{where}', {shown} is not a member of {json.dumps(error.validator_value)}."
    return f"For '{where}', {shown}: {error.message[:150]}."
