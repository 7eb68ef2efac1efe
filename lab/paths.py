"""Where the lab keeps what it makes: a cache that is safe to delete, and the state of this user's dev desk."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def _directory(variable: str, xdg: str, fallback: str) -> Path:
    base = Path(os.environ.get(xdg) or Path.home() / fallback) / "carica-kestra"
    return Path(os.environ.get(variable) or base).expanduser().resolve()


CACHE = _directory("CARICA_CACHE", "XDG_CACHE_HOME", ".cache")
"""Downloads and builds, keyed by their inputs. Deleting it costs time, never data."""

STATE = _directory("CARICA_STATE", "XDG_STATE_HOME", ".local/state")
"""Passphrase, generated secrets, local CA and the file backend of the dev stack. Deleting it loses the dev desk."""
