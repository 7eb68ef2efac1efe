"""What sshd and Git's hooks ask of the server. The standard library alone: each question starts an interpreter."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from typing import Any

LAB = "http://127.0.0.1:8080/_lab"
ZERO = "0" * 40
WHEN_NOT_THERE = "ERROR: Repository not found."


def ask(path: str, body: Any) -> Any:
    """Post to the server; return its answer."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{LAB}{path}", data, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def authorized(kind: str, key: str) -> int:
    """Print the line of authorized_keys for a key that opens a repository."""
    number = ask("/ssh/key", {"key": f"{kind} {key}"})["id"]
    if number:
        print(f'restrict,command="/opt/github/git-session {number}" {kind} {key}')
    return 0


def session(number: str) -> int:
    """Run the service that the client asked for, or say why not."""
    asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    found = re.fullmatch(r"(git-upload-pack|git-receive-pack) '?/?([^']+?)(\.git)?'?", asked)
    service, path = (found[1], found[2]) if found else ("", "")
    answer = ask("/ssh/session", {"id": int(number), "service": service, "path": path})
    if answer["refusal"]:
        print(answer["refusal"], file=sys.stderr)
        return 1
    os.environ["LAB_REPOSITORY"] = str(answer["repository"])
    os.environ["LAB_ACTOR"] = json.dumps(answer["actor"])
    os.execvp(service, [service, answer["directory"]])  # noqa: S606


def updates() -> list[dict[str, Any]]:
    """Return what is pushed; `forced` where it leaves something behind."""
    found = []
    for line in sys.stdin:
        old, new, ref = line.split()
        moves = ZERO not in (old, new)
        words = ["git", "merge-base", "--is-ancestor", old, new]
        forced = moves and subprocess.run(words, capture_output=True, check=False).returncode != 0
        found.append({"ref": ref, "old": old, "new": new, "forced": forced, "workflows": workflows(old, new)})
    return found


def workflows(old: str, new: str) -> list[str]:
    """Return the workflows that a push makes or changes."""
    if new == ZERO:
        return []
    start = ["git", "ls-tree", "-r", "--name-only", new] if old == ZERO else ["git", "diff", "--name-only", old, new]
    done = subprocess.run([*start, "--", ".github/workflows"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def receive(which: str) -> int:
    """Let the server judge a push, or know of it."""
    body = {
        "repository": os.environ["LAB_REPOSITORY"],
        "actor": json.loads(os.environ["LAB_ACTOR"]),
        "updates": updates(),
    }
    if which == "post-receive":
        ask("/received", body)
        return 0
    answer = ask("/judged", body)
    print("\n".join(answer["lines"]), file=sys.stderr)
    return 1 if answer["refused"] else 0


if __name__ == "__main__":
    question, *words = sys.argv[1:]
    if question in ("pre-receive", "post-receive"):
        sys.exit(receive(question))
    sys.exit(authorized(*words) if question == "authorized" else session(*words))
