"""GitHub on a bad day, as asked for over /_lab/."""

import re
import time
from typing import Literal

from pydantic import BaseModel, Field

from .answers import Refusal


class Misdeed(BaseModel):
    """What goes wrong with the next `calls` calls that match."""

    kind: Literal["rate_limit", "secondary_rate_limit", "error", "slow"]
    calls: int = 1
    method: str = ""
    path: str = Field(
        default="", description="a regular expression, searched for in the path (of the API, below /api/v3)"
    )
    status: int = 502
    seconds: float = 1


class Misbehaviour:
    """The misdeeds that are still to come."""

    def __init__(self) -> None:
        """Behave well."""
        self._planned: list[Misdeed] = []

    def plan(self, misdeed: Misdeed) -> None:
        """Add one."""
        self._planned.append(misdeed)

    def forget(self) -> None:
        """Behave well again."""
        self._planned.clear()

    def take(self, method: str, path: str) -> Misdeed | None:
        """Return what goes wrong with this call, and count it."""
        for misdeed in self._planned:
            if misdeed.method in ("", method) and re.search(misdeed.path, path):
                misdeed.calls -= 1
                if misdeed.calls <= 0:
                    self._planned.remove(misdeed)
                return misdeed
        return None


def commit(misdeed: Misdeed, login: str) -> None:
    """Do it: be slow, or raise what GitHub answers."""
    reset = str(int(time.time() + misdeed.seconds))
    if misdeed.kind == "slow":
        time.sleep(misdeed.seconds)
    elif misdeed.kind == "rate_limit":
        headers = {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Used": "5001",
            "X-RateLimit-Reset": reset,
            "X-RateLimit-Resource": "core",
        }
        where = "https://docs.github.com/rest/overview/resources-in-the-rest-api#rate-limiting"
        raise Refusal(403, f"API rate limit exceeded for user ID {login}.", headers=headers, documentation=where)
    elif misdeed.kind == "secondary_rate_limit":
        message = (
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. "
            f"For more on scraping GitHub and how it may affect your rights, ask user {login}."
        )
        where = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
        headers = {"Retry-After": str(max(1, round(misdeed.seconds)))}
        raise Refusal(403, message, headers=headers, documentation=where)
    else:
        raise Refusal(misdeed.status, "Server Error")
