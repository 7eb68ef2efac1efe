"""The operations, by subject; importing this package registers them all."""

from . import code, hooks, meta, repositories

__all__ = ["code", "hooks", "meta", "repositories"]
