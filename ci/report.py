"""Markdown from what Pulumi printed: of a length GitHub takes, in a fence nothing in it can close."""

import re


def fenced(text: str, limit: int) -> str:
    """Return `text` as a block of code, of at most `limit` bytes with its fence."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{cut(text.strip(), limit - 2 * len(fence) - 2)}\n{fence}"


def cut(text: str, limit: int) -> str:
    """Return `text` in at most `limit` bytes: whole lines of its begin and, as errors and totals stand there, its end.

    Bytes, as GitHub's limits are characters of some kind, and none has more of those than of bytes.
    """
    if len(text.encode()) <= limit:
        return text
    room = (limit - 100) // 2
    head = text.encode()[:room].decode(errors="ignore").rpartition("\n")[0]
    tail = text.encode()[-room:].decode(errors="ignore").partition("\n")[2]
    missing = text.count("\n") - head.count("\n") - tail.count("\n") - 1
    return f"{head}\n\n… {missing} lines are left out here; the run's log has them …\n\n{tail}"


def counts(text: str) -> str:
    """Return what Pulumi's summary counts, such as `1 to update, 30 unchanged`."""
    _, _, after = text.rpartition("\nResources:\n")
    lines = [line.strip(" +-~<>=") for line in after.split("\n\n")[0].splitlines()]
    return ", ".join(line for line in lines if re.match(r"\d+ ", line)).replace(" changes. ", " changes, ")
