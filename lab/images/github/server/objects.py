"""Whole objects: every field that GitHub's own example has, none with the example's state."""

from typing import Any

from .description import Description
from .models import Json


class Objects:
    """Makes objects of GitHub's examples; their addresses are rewritten, all else must be given."""

    def __init__(self, description: Description, web: str, ssh_host: str) -> None:
        """`web` is the address that the lab's GitHub is known by."""
        self.web = web
        self.api = f"{web}/api/v3"
        self.ssh_host = ssh_host
        self._description = description

    def whole(self, example: str, values: Json, rename: dict[str, str] | None = None) -> Json:
        """Return the example's fields with `values`; raises KeyError for state that was not given.

        `rename` maps what stands in the example's addresses to what stands there here.
        """
        found = {}
        for key, value in self._description.example(example).items():
            if key in values:
                continue
            if key.endswith("url") and isinstance(value, str):
                found[key] = self.address(value, rename or {})
            else:
                raise KeyError(f"the lab's GitHub has no value for {key} of {example}")
        return found | values

    def address(self, text: str, rename: dict[str, str]) -> str:
        """Return an address of an example as it is here."""
        for old, new in {"https://api.github.com": self.api, "https://github.com": self.web, **rename}.items():
            text = text.replace(old, new)
        return text

    def user(self, user: Any) -> Json:
        """Return the short form of a user or an organisation."""
        organization = not hasattr(user, "type")
        return self.whole(
            "simple-user",
            {
                "login": user.login,
                "id": user.id,
                "node_id": node_id("O" if organization else "U", user.id),
                "gravatar_id": "",
                "type": "Organization" if organization else user.type,
                "site_admin": False,
            },
            {"octocat": user.login},
        )


def node_id(kind: str, number: int) -> str:
    """Return a global id in GitHub's manner."""
    return f"{kind}_kgDO{number:08d}"
