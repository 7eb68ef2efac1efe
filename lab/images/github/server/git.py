"""Real Git work in the bare repositories."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ZERO = "0" * 40


class GitError(Exception):
    """Git said no."""


@dataclass(frozen=True)
class Person:
    """Who a commit is by."""

    name: str
    email: str


def person(login: str) -> Person:
    """Return a user as commits made over the API name them."""
    return Person(login, f"{login}@users.noreply.github.com")


class Git:
    """One bare repository."""

    def __init__(self, directory: Path) -> None:
        """Look at `directory`, which may not exist yet."""
        self.directory = directory

    def run(
        self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, ok: tuple[int, ...] = ()
    ) -> str:
        """Run git; raises GitError when it ends with neither 0 nor a code in `ok`."""
        done = subprocess.run(
            ["git", "-C", str(self.directory), *words],
            input=stdin,
            capture_output=True,
            env={**os.environ, **(env or {})},
            check=False,
        )
        if done.returncode and done.returncode not in ok:
            raise GitError(done.stderr.decode(errors="replace").strip() or f"git {words[0]} failed")
        return done.stdout.decode(errors="replace").strip()

    def create(self, default_branch: str) -> None:
        """Make the empty repository."""
        self.directory.mkdir()
        self.run("init", "--quiet", "--bare", "--initial-branch", default_branch)

    def head(self, branch: str) -> None:
        """Make `branch` the one that a clone checks out."""
        self.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    def resolve(self, name: str) -> str | None:
        """Return the commit that a ref, an id or a part of one names."""
        if name.startswith("-"):
            return None
        try:
            return self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitError:
            return None

    def refs(self, prefix: str) -> dict[str, str]:
        """Return the refs below `prefix`, such as refs/heads/, with what they point to."""
        lines = self.run("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
        return {name: commit for name, _, commit in (line.partition(" ") for line in lines)}

    def update(self, ref: str, new: str, old: str) -> None:
        """Move a ref from `old` to `new`; ZERO stands for not there."""
        words = ["-d", ref, old] if new == ZERO else [ref, new, old]
        self.run("update-ref", *words)

    def contains(self, old: str, new: str) -> bool:
        """Say whether `old` is in the history of `new`."""
        try:
            self.run("merge-base", "--is-ancestor", old, new)
        except GitError:
            return False
        return True

    def between(self, old: str, new: str, ref: str) -> list[str]:
        """Return the commits that a push brought to `ref`, oldest first; to a new one, those that no other ref has."""
        words = [new, "--not", f"--exclude={ref}", "--all"] if old == ZERO else [f"{old}..{new}"]
        return self.run("rev-list", "--reverse", "--max-count=2048", *words).splitlines()

    def commit(self, commit: str) -> dict[str, Any]:
        """Return what is in a commit."""
        form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"
        parts = self.run("show", "--no-patch", f"--format={form}", commit).split("\0")
        changed: dict[str, list[str]] = {"A": [], "D": [], "M": []}
        listing = self.run("diff-tree", "--root", "-r", "--no-commit-id", "--name-status", "--no-renames", "-z", commit)
        names = listing.split("\0")
        for kind, name in zip(names[::2], names[1::2], strict=False):
            changed.setdefault(kind[:1] if kind[:1] in changed else "M", []).append(name)
        return {
            "id": parts[0],
            "tree": parts[1],
            "parents": parts[2].split(),
            "author": Person(parts[3], parts[4]),
            "author_date": parts[5],
            "committer": Person(parts[6], parts[7]),
            "committer_date": parts[8],
            "message": parts[9].strip("\n"),
            "added": changed["A"],
            "removed": changed["D"],
            "modified": changed["M"],
        }

    def write(self, by: Person, tree: str, parents: list[str], message: str) -> str:
        """Write a commit; return its id."""
        env = {
            "GIT_AUTHOR_NAME": by.name,
            "GIT_AUTHOR_EMAIL": by.email,
            "GIT_COMMITTER_NAME": "GitHub",
            "GIT_COMMITTER_EMAIL": "noreply@github.com",
        }
        words = [word for parent in parents for word in ("-p", parent)]
        return self.run("commit-tree", tree, *words, stdin=message.encode(), env=env)

    def changed_tree(self, base: str | None, files: Mapping[str, bytes | None]) -> str:
        """Return the tree of `base` with some files changed; None removes one."""
        with tempfile.TemporaryDirectory() as folder:
            env = {"GIT_INDEX_FILE": f"{folder}/index"}
            if base:
                self.run("read-tree", base, env=env)
            for path, content in files.items():
                if content is None:
                    # Not --force-remove: that wants a work tree.
                    self.run("update-index", "--index-info", stdin=f"0 {ZERO}\t{path}\n".encode(), env=env)
                    continue
                blob = self.run("hash-object", "-w", "--stdin", stdin=content)
                self.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
            return self.run("write-tree", env=env)

    def merged_tree(self, base: str, head: str, merge_base: str | None = None) -> str | None:
        """Return the tree of a merge, or None when the two conflict."""
        words = [f"--merge-base={merge_base}"] if merge_base else []
        try:
            return self.run("merge-tree", "--write-tree", *words, base, head).splitlines()[0]
        except GitError:
            return None

    def blob(self, sha: str) -> bytes:
        """Return a file's content."""
        words = ["git", "-C", str(self.directory), "cat-file", "blob", sha]
        return subprocess.run(words, capture_output=True, check=True).stdout

    def numbers(self, base: str, head: str) -> tuple[int, int, int]:
        """Return added lines, deleted lines and changed files of a pull request."""
        lines = [line.split("\t") for line in self.run("diff", "--numstat", f"{base}...{head}").splitlines()]
        added = sum(int(line[0]) for line in lines if line[0].isdigit())
        deleted = sum(int(line[1]) for line in lines if line[1].isdigit())
        return added, deleted, len(lines)
