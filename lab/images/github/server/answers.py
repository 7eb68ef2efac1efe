"""Answers and refusals in GitHub's shapes."""

from dataclasses import dataclass, field
from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


@dataclass
class Answer:
    """What a handler answers when it is more than a body with the usual status."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Wrapped:
    """A list that GitHub wraps in an object with its length, under `key`; the dispatcher cuts it into pages."""

    key: str
    items: list[Any]
    more: dict[str, Any] = field(default_factory=dict)


class Refusal(Exception):
    """An error for the caller, as GitHub words it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: list[Any] | None = None,
        headers: dict[str, str] | None = None,
        documentation: str = DOCUMENTATION,
        more: dict[str, Any] | None = None,
    ) -> None:
        """Remember the parts of the answer."""
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, Any] = {"message": message}
        if errors is not None:
            self.body["errors"] = errors
        self.body |= {"documentation_url": documentation, "status": str(status), **(more or {})}


def not_found() -> Refusal:
    """Return what GitHub says of what is not there, and of what the caller may not know to be there."""
    return Refusal(404, "Not Found")


def invalid(resource: str, message: str, field_: str | None = None) -> Refusal:
    """Return a refusal of values that the description allows and GitHub does not."""
    error = {"resource": resource, "code": "custom", "message": message}
    if field_:
        error["field"] = field_
    return Refusal(422, "Validation Failed", errors=[error])
