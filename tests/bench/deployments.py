"""Deployments, measured: what visitors of the site notice of one, and how long it takes from a push: `make bench`."""

import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import apps, carica_deploy, developer, registry
from lab.carica_deploy import REPOSITORY
from lab.demo import APP, as_kestra
from lab.shell import LabError, run, say
from lab.site import watched
from lab.stack import settings
from tests.bench.compose import compose
from tests.bench.load import Load, in_the_clear
from tests.bench.table import Row
from tests.estate import Estate, eventually, free_port

DEPLOYMENTS, RELEASES, ROLLBACKS = 5, 20, 5
BURST, BURST_SECONDS = 30, 60
CLIENTS, PER_SECOND = 10, 50


def visit(_: int) -> bytes:
    """Return a request for the site's page."""
    return b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def noticed(what: str, port: int, deployment: Callable[[str], Any], registry_port: int) -> Row:
    """Deploy several versions under load; say what visitors noticed of each."""
    versions = [f"bench{time.time_ns()}-{number}" for number in range(DEPLOYMENTS)]
    for version in versions:
        apps.publish(APP, version, port=registry_port)
    failed, sent = [], 0
    for version in versions:
        load = Load(in_the_clear(port), visit, CLIENTS, keep=False, pause=CLIENTS / PER_SECOND)
        with load.running():
            time.sleep(1)
            deployment(version)
            time.sleep(5)
        failed.append(load.lost / PER_SECOND)
        sent += load.sent
    say(f"{what}: {[f'{each:.1f}' for each in failed]} s")
    figure = f"{statistics.median(failed):.1f} s ({min(failed):.1f}–{max(failed):.1f}; {sent} visits in all)"
    return Row(what, figure)


def original(registry_port: int) -> Row:
    """Deploy as the set-up that was replaced did: pull, down, up, on the same compose file."""
    port, name = free_port(), f"bench{os.getpid()}"
    env = carica_deploy.environment(name, port, registry_port)

    def deployment(version: str) -> None:
        words: list[str | Path] = [str(compose()), "--project-directory", carica_deploy.FILES]
        with registry.login(registry_port) as login:
            given = {**env, **login, "CARICA_TAG": version}
            # Without the proxy's image, which no registry has here.
            for step in (["pull", "--quiet", *apps.APPS], ["down"], ["up", "--detach"]):
                run("the original", [*words, *step], env=given)

    try:
        deployment("main")
        time.sleep(5)
        return noticed(
            "visits that failed for each deployment of the original script, in seconds", port, deployment, registry_port
        )
    finally:
        carica_deploy.remove(name)


def spread(values: list[float]) -> str:
    """Return median, 95th percentile where there are enough values for one, and range."""
    p95 = f", p95 {statistics.quantiles(values, n=20)[18]:.1f}" if len(values) >= RELEASES else ""
    return f"{statistics.median(values):.1f} s{p95} ({min(values):.1f}–{max(values):.1f})"


def releases(desk: Estate, url: str) -> list[Row]:
    """Release versions and go back, one after the other; say how long each took until the site served it."""
    workflow = settings(desk.name, desk.project)["imageWorkflow"]
    pushed, built, back = [], [], []
    with watched(url) as watch:
        for _ in range(RELEASES):
            one = developer.release(desk.github, APP, workflow, registry_port=desk.registry_port)
            served = watch.first(f"{APP} {one.version}", 60)
            pushed.append((served - one.pushed).total_seconds())
            built.append((served - one.published).total_seconds())
            eventually(lambda: json.loads(as_kestra("status", desk.ssh_port))["running"] is None)
        for _ in range(ROLLBACKS):
            began, seen = datetime.datetime.now(datetime.UTC), len(watch.visits)
            as_kestra("rollback", desk.ssh_port)
            wanted = f"{APP} {json.loads(as_kestra('status', desk.ssh_port))['images'][APP]}"
            served = eventually(
                lambda seen=seen, wanted=wanted: [each.when for each in watch.visits[seen:] if each.answer == wanted]
            )[0]
            back.append((served - began).total_seconds())
    return [
        Row(
            f"`git push` done → the site serves the version ({RELEASES} releases, building the image included)",
            spread(pushed),
        ),
        Row("GitHub tells that the image is there → the site serves it", spread(built)),
        Row(f"a rollback, until the site serves what was before ({ROLLBACKS})", spread(back)),
    ]


def burst(desk: Estate) -> list[Row]:
    """Push many times within a minute; say when the last is deployed, and what became of all."""
    began = time.monotonic()
    commits = []
    for number in range(BURST):
        commits.append(developer.push(desk.github, REPOSITORY))
        time.sleep(max(0.0, began + (number + 1) * BURST_SECONDS / BURST - time.monotonic()))
    last = time.monotonic()
    eventually(lambda: json.loads(as_kestra("status", desk.ssh_port))["commit"] == commits[-1], 600)
    behind = time.monotonic() - last
    answers = [desk.github.delivery_of(REPOSITORY, commit)["response"]["payload"] for commit in commits]
    states = [desk.desk.ended(json.loads(answer)["id"], 600)["state"]["current"] for answer in answers]
    if set(states) != {"SUCCESS"}:
        raise LabError(f"deployments of {BURST} pushes ended as {states}")
    return [
        Row(
            f"{BURST} pushes in {last - began:.0f} s: deployed, or overtaken by a later one",
            f"{states.count('SUCCESS')}",
        ),
        Row("the last of them is deployed after it was pushed", f"{behind:.1f} s"),
    ]


def measure(desk: Estate) -> list[Row]:
    """Measure everything on a desk that is up."""
    port = int(settings(desk.name, desk.project)["deployHosts"][0]["environment"]["HTTP_BIND"].rpartition(":")[2])
    ours = noticed(
        f"visits that failed for each deployment, in seconds ({PER_SECOND} visits a second, {DEPLOYMENTS} deployments)",
        port,
        lambda version: as_kestra(f"image {APP} {version}", desk.ssh_port),
        desk.registry_port,
    )
    theirs = original(desk.registry_port)
    say("deployments: releases and rollbacks")
    timed = releases(desk, f"http://127.0.0.1:{port}/")
    say("deployments: many pushes")
    return [ours, theirs, *timed, *burst(desk)]
