"""The operations, by subject; importing this package registers them all."""

from . import actions, code, deployments, environments, hooks, issues, keys, meta, pulls, repositories, rulesets

__all__ = [
    "actions",
    "code",
    "deployments",
    "environments",
    "hooks",
    "issues",
    "keys",
    "meta",
    "pulls",
    "repositories",
    "rulesets",
]
