"""What benchmarks print."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    what: str
    figure: str
    goal: str = ""


def table(title: str, rows: list[Row]) -> str:
    """Return them in Markdown."""
    lines = [f"| {row.what} | {row.figure} | {row.goal} |" for row in rows]
    return "\n".join([f"| {title} | | goal |", "|---|---|---|", *lines])
