"""Build once: directories in the cache, keyed by the content of what they are made from."""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.paths import CACHE
from lab.shell import say


def key(*inputs: Path | str) -> str:
    """Return a short digest of strings and of files (a directory counts with all files below it)."""
    digest = hashlib.sha256()
    for item in inputs:
        if isinstance(item, str):
            digest.update(b"s" + item.encode() + b"\0")
            continue
        files = sorted(p for p in item.rglob("*") if p.is_file()) if item.is_dir() else [item]
        for file in files:
            if "__pycache__" in file.parts:
                continue
            name = file.relative_to(item) if item.is_dir() else file.name
            digest.update(f"f{name}\0{file.stat().st_mode & 0o111}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the cache's lock `name`, so that two runs never build the same thing at once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  waiting for another run that builds {name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cached(name: str, inputs: tuple[Path | str, ...], build: Callable[[Path], None]) -> Path:
    """Return the directory `name-<key of inputs>` of the cache; `build` fills an empty one first when it is missing.

    A build that fails or is interrupted leaves nothing behind: the directory gets its name when it is whole.
    """
    wanted = CACHE / f"{name}-{key(*inputs)}"
    with lock(name):
        if not wanted.exists():
            draft = wanted.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            build(draft)
            draft.rename(wanted)
    return wanted
