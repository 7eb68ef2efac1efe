"""`make bench`: prints tables in Markdown."""

import datetime
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab import edge_log, github, keys, stack
from lab.demo import commit_to_deploy, script
from lab.engine import engine
from lab.image_builder import images
from lab.paths import ROOT
from lab.shell import LabError, run, say
from tests.bench import api_calls, deployments, edge
from tests.bench.answer import until_answered
from tests.bench.compose import original
from tests.bench.table import table
from tests.estate import Estate, Outcome, estate

STARTS = 3
NO_CHANGE = 5
NO_CHANGE_SECONDS = 120
DELIVERIES = 30
MILLISECOND = datetime.timedelta(milliseconds=1)


def start(desk: Estate) -> float:
    """Bring the desk up from nothing; return the seconds until Kestra answers through the edge."""
    return until_answered(
        "pulumi up",
        _up(desk),
        cwd=desk.project,
        env=desk.env,
        url=f"https://localhost:{desk.setting('httpsPort')}",
        login=(desk.setting("kestraUser"), desk.setting("kestraPassword")),
        verify=ssl.create_default_context(cadata=keys.ca_certificate()),
    )


def no_change(desk: Estate) -> tuple[float, float]:
    """Run `pulumi up` with nothing to do; return its wall time in seconds and its largest process's peak in MiB."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            _up(desk), cwd=desk.project, env={**os.environ, **desk.env}, stdout=output, stderr=subprocess.STDOUT
        )
        ended = 0
        while not ended:
            if time.monotonic() - began > NO_CHANGE_SECONDS:
                process.kill()
                raise LabError(f"`pulumi up` with nothing to do did not end within {NO_CHANGE_SECONDS} s")
            time.sleep(0.01)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        outcome = Outcome(process.returncode, output.read())
    if outcome.code or set(outcome.changes()) != {"same"}:
        raise LabError(f"`pulumi up` with nothing to do ended with exit code {outcome.code}:\n{outcome.text[-4000:]}")
    return seconds, usage.ru_maxrss / 1024


def _up(desk: Estate) -> list[str]:
    return ["pulumi", "up", "--yes", "--skip-preview", "--color", "never", "--stack", desk.name]


def deliver(desk: Estate) -> tuple[list[float], list[float]]:
    """Deliver pushes one after another.

    Return for each the milliseconds from the edge's handing it to Kestra to the script's first line, and those that the
    edge added to the sender's waiting.
    """
    running, began, started = desk.desk, datetime.datetime.now(datetime.UTC), []
    for _ in range(DELIVERIES):
        commit = commit_to_deploy(desk.github)
        delivery = github.Delivery("push", github.push("centaurin/carica-deploy", commit), running.webhook_secret)
        answer = delivery.send(running.webhook_urls["gh_push_deployment"], running.trust)
        execution = running.ended(answer.raise_for_status().json()["id"])
        if execution["state"]["current"] != "SUCCESS":
            raise LabError(f"a deployment ended as {execution['state']['current']}")
        started.append(script(running, execution["id"])[0])
    taken = edge_log.accepted(desk.name, began)
    waited = [(when - each.accepted) / MILLISECOND for when, each in zip(started, taken, strict=True)]
    return waited, [each.added for each in taken]


def row(what: str, values: list[float], unit: str, goal: str = "") -> None:
    """Print median, 95th percentile where there are enough values for one, range, and the goal."""
    ordered = sorted(values)
    p95 = f"{ordered[round(0.95 * len(ordered))]:.1f}" if len(ordered) >= DELIVERIES else "–"
    middle = statistics.median(ordered)
    print(f"| {what} | {middle:.1f} {unit} | {p95} | {ordered[0]:.1f}–{ordered[-1]:.1f} | {goal} |")


def machine() -> str:
    """Say what was measured where, and when."""
    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    model = next((value.strip() for name, value in facts.items() if name.strip() == "model name"), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = run("commit", ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT).strip()
    today = datetime.datetime.now(datetime.UTC).date()
    load = os.getloadavg()[0]
    return f"{today}, commit {commit}, {os.cpu_count()} cores ({model}), {memory:.0f} GiB, load before {load:.1f}"


def measure() -> None:
    """Measure everything in one run."""
    where = machine()
    say(engine())
    settings = stack.settings()
    images({part: settings[f"{part}Image"] for part in ("postgres", "kestra", "haproxy")})
    ours, theirs, ratios = [], [], []
    for round_ in range(STARTS):
        with original() as seconds:
            theirs.append(seconds)
        with tempfile.TemporaryDirectory() as project, estate(Path(project)) as desk:
            ours.append(start(desk))
            ratios.append(ours[-1] / theirs[-1])
            say(f"round {round_ + 1}: the original {theirs[-1]:.1f} s, ours {ours[-1]:.1f} s")
            if round_ == STARTS - 1:
                walls, peaks = zip(*(no_change(desk) for _ in range(NO_CHANGE)), strict=True)
                say("delivering")
                delivered, added = deliver(desk)
                deployed = deployments.measure(desk)
    say("counting calls to GitHub")
    counted = api_calls.measure()
    alone = edge.measure()
    print(f"{where}\n\n| what | median | p95 | range | goal |\n|---|---|---|---|---|")
    row("images present → Kestra answers a login through the edge, HTTPS", ours, "s")
    row("the same, original set-up under compose, HTTP", theirs, "s")
    row("ratio of the two", ratios, "", "1.3 at most")
    row("`pulumi up` with nothing to do", list(walls), "s", "5 s at most")
    row("its largest process at its peak", list(peaks), "MiB")
    row("accepted by the edge → script's first line from the deploy host", delivered, "ms")
    row("what the edge adds to a delivery", added, "ms", "under 5 ms")
    print(f"\n{api_calls.table(counted)}\n\n{table('deployments', deployed)}\n\n{table('the edge alone', alone)}")


def main() -> int:
    """Return the process's exit code."""
    try:
        measure()
    except LabError as error:
        say(f"\n{error}")
        return 1
    return 0


sys.exit(main())
