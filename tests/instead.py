"""Something else for a while: a script in the deploy script's place, words of the flow `deploy`."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lab.paths import ROOT
from tests.estate import Estate

SCRIPT = "/usr/local/bin/carica-update"
REAL = f"{SCRIPT}.real"
"""Where the deploy script is meanwhile."""
Script = Callable[[str], None]


def in_host(desk: Estate, command: str, stdin: str = "") -> str:
    """Run a command on the deploy host, as root; return what it prints."""
    words = ["docker", "exec", "--interactive", f"{desk.prefix}-deploy-host", "sh", "-euc", command]
    return subprocess.run(words, input=stdin, text=True, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture
def script(desk: Estate) -> Iterator[Script]:
    """Put a script in the real one's place, until the test ends; it notes the words it is called with."""
    in_host(desk, f"cp -p {SCRIPT} {REAL}; rm -f /tmp/words")

    def put(body: str) -> None:
        text = f'#!/bin/bash\necho "$SSH_ORIGINAL_COMMAND" >>/tmp/words\n{body}'
        in_host(desk, f"cat >{SCRIPT}.new; chmod 755 {SCRIPT}.new; mv {SCRIPT}.new {SCRIPT}", text)

    yield put
    in_host(desk, f"mv {REAL} {SCRIPT}; rm -f /tmp/words")


@contextmanager
def changed(desk: Estate, words: dict[str, str]) -> Iterator[None]:
    """Have other words in the flow as long as the block lasts."""
    source = (ROOT / "flows" / "deploy.yml").read_text()
    other = source
    for old, new in words.items():
        assert old in other
        other = other.replace(old, new)
    with desk.desk.api() as api:
        kind = {"Content-Type": "application/x-yaml"}
        api.put("/flows/prod/deploy", content=other, headers=kind).raise_for_status()
        try:
            yield
        finally:
            api.put("/flows/prod/deploy", content=source, headers=kind).raise_for_status()
