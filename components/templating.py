"""Jinja templates filled with values that may not be known yet, or be secret."""

import base64
from pathlib import Path

import pulumi
from jinja2 import Environment, FileSystemLoader, StrictUndefined


def _literal(text: str) -> str:
    """Quote a SQL string literal (standard_conforming_strings is on: only the quote itself is special)."""
    return "'" + text.replace("'", "''") + "'"


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 (the templates are YAML, SQL and HAProxy's language; they quote by filters)
)
_environment.filters["literal"] = _literal
_environment.filters["b64"] = lambda text: base64.b64encode(text.encode()).decode()


def render(template: str, **values: object) -> pulumi.Output[str]:
    """Return the filled template; it is secret as soon as one of the values is.

    A name that the template uses and nobody gave is an error (jinja2.UndefinedError).
    """
    filled = _environment.get_template(template)
    return pulumi.Output.from_input(values).apply(lambda known: filled.render(known))
