"""`make bench`: prints a table in Markdown."""

import base64
import os
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from lab import github, keys
from lab.demo import commit_to_deploy, first
from tests.bench.compose import answers, original
from tests.estate import Estate, estate

STARTS = 3
NO_CHANGE = 5
DELIVERIES = 30


def start(desk: Estate) -> float:
    """Bring the desk up from nothing; return the seconds until Kestra answers through the edge."""
    login = base64.b64encode(f"{desk.setting('kestraUser')}:{desk.setting('kestraPassword')}".encode()).decode()
    url = f"https://localhost:{desk.setting('httpsPort')}"
    trust = ssl.create_default_context(cadata=keys.ca_certificate())
    began = time.monotonic()
    up = threading.Thread(target=desk.up)
    up.start()
    while not answers(url, login, trust):
        time.sleep(0.05)
    seconds = time.monotonic() - began
    up.join()
    return seconds


def no_change(desk: Estate) -> tuple[float, float]:
    """Run `pulumi up` with nothing to do; return its wall time in seconds and the CLI's peak memory in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--stack", desk.name],
        cwd=desk.project,
        env={**os.environ, **desk.env},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.monotonic() - began, usage.ru_maxrss / 1024


def deliver(desk: Estate) -> list[float]:
    """Deliver pushes one after another; return for each the milliseconds from sending it to the script's start."""
    running, taken = desk.desk, []
    for _ in range(DELIVERIES):
        commit = commit_to_deploy(desk.ssh_port)
        delivery = github.Delivery("push", github.push("centaurin/carica-deploy", commit), running.webhook_secret)
        began = time.time()
        answer = delivery.send(running.webhook_urls["gh_push_deployment"], running.trust)
        execution = running.ended(answer.raise_for_status().json()["id"])
        taken.append((first(execution["taskRunList"][-1], "RUNNING").timestamp() - began) * 1000)
    return taken


def added_by_the_edge(desk: Estate) -> list[float]:
    """Return, for each verified delivery, the milliseconds of it that were not Kestra's, from the edge's own log."""
    log = subprocess.run(
        ["docker", "logs", f"{desk.prefix}-haproxy"], capture_output=True, text=True, check=True
    ).stdout
    timings = [line.split()[6].split("/") for line in log.splitlines() if "hook=verified" in line]
    return [float(total) - float(kestra) for _, _, _, kestra, total in timings]


def row(what: str, values: list[float], unit: str, beside: str = "") -> None:
    """Print median, 95th percentile and range."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    middle = statistics.median(ordered)
    print(f"| {what} | {middle:.1f} {unit} | {p95:.1f} | {ordered[0]:.1f}–{ordered[-1]:.1f} | {beside} |")


def main() -> None:
    """Measure everything in one run."""
    ours, theirs = [], []
    walls, peaks, delivered, added = [], [], [], []
    for round_ in range(STARTS):
        with original() as seconds:
            theirs.append(seconds)
        with tempfile.TemporaryDirectory() as project, estate(Path(project)) as desk:
            ours.append(start(desk))
            if round_ == STARTS - 1:
                for _ in range(NO_CHANGE):
                    wall, peak = no_change(desk)
                    walls.append(wall)
                    peaks.append(peak)
                delivered, added = deliver(desk), added_by_the_edge(desk)
    ratio = statistics.median(ours) / statistics.median(theirs)
    print("| what | median | p95 | range | beside it |\n|---|---|---|---|---|")
    row("images present → Kestra answers through the edge", ours, "s", f"ratio {ratio:.2f} to the original")
    row("the same, original set-up under compose", theirs, "s")
    row("`pulumi up` with nothing to do", walls, "s")
    row("its peak memory (CLI)", peaks, "MiB")
    row("push sent → script started on the host", delivered, "ms", f"{DELIVERIES} deliveries")
    row("of it added by the edge (verify, buffer, forward)", added, "ms")


main()
