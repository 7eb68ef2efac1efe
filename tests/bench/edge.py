"""The edge alone, measured: `make bench-edge`, a part of `make bench`.

Behind it is what only answers, so that the edge and nothing else is measured.
"""

import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import count
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from docker import from_env

from lab.apt import packages
from lab.shell import LabError, run, say
from tests.bench.compose import HERE
from tests.bench.load import TAKEN, Load, delivery, in_the_clear, over_tls, page
from tests.bench.table import Row, table
from tests.edge.conftest import ground
from tests.edge.siege import Siege, signature
from tests.edge.wire import Line, answer
from tests.edge.witness import answering
from tests.edge_alone import HOOK, Edge, docker, new_edge, new_key, new_secret
from tests.estate import eventually, free_port

RELOADS, ROTATIONS, RESTARTS = 20, 5, 3
ROUNDS, SECONDS = 3, 5
"""What is compared is measured in turns, as the machine may have other work at some times."""
HOOKS, HOOK_SIZE = 60_000, 10_000
"""More bodies than are delivered in SECONDS: one that comes again is a duplicate, and Kestra is not asked about it."""
BAD_CALLS, SOURCES = 2000, 100
LARGEST, SMALLER = 26_214_400, 250_000
MIXED = 10
"""How often the edge is filled with bodies of both sizes, in any order."""
UNLIMITED = {"sourceLimit": 1_000_000}
"""All load comes from one address here; what the limits do is what tests/edge looks at."""

TAKEN_FOR_GRANTED = r"""
s/req\.body,hmac(sha256,proc\.secret0)/req.fhdr(x-hub-signature-256)/
s/if { req\.fhdr(x-hub-signature-256),bytes(7),secure_memcmp(txn\.signature) }//
"""
"""What sed makes of a configuration so that it hashes nothing."""


def lost(what: str, loads: list[Load], goal: str = "0 lost") -> Row:
    """Say how many requests were lost of how many."""
    answers = sum((load.answers for load in loads), Counter[str]())
    wrong = [f"{said}: {count}" for said, count in answers.items() if said not in TAKEN]
    figure = f"{sum(load.lost for load in loads)} of {answers.total()}"
    return Row(what, f"{figure} ({', '.join(wrong)})" if wrong else figure, goal)


@contextmanager
def both(first: Load, second: Load) -> Iterator[list[Load]]:
    """Have connections that stay and new ones at the same time."""
    with first.running(), second.running():
        time.sleep(1)
        yield [first, second]
        time.sleep(1)


def changes(edge: Edge, key: str, secret: str) -> list[Row]:
    """Reload and rotate under load."""
    rows = []
    connect = over_tls(edge.port, edge.trust)
    with both(Load(connect, page, 8, keep=True), Load(connect, page, 4, keep=False)) as loads:
        for _ in range(RELOADS):
            edge.reload("")
            time.sleep(0.5)
    rows.append(lost(f"requests lost across {RELOADS} reloads, connections kept and new", loads))
    taken = [secret]
    hook = delivery(HOOK + key, lambda: taken[-1])
    with both(Load(connect, hook, 8, keep=True), Load(connect, hook, 4, keep=False)) as loads:
        for _ in range(ROTATIONS):
            changed = new_secret()
            edge.forget_all_but_what_is_in_force()
            edge.configure(key, changed)
            taken.append(changed)
            time.sleep(1)
    rows.append(lost(f"deliveries lost across {ROTATIONS} new secrets, connections kept and new", loads))
    return rows


def restarts(edge: Edge) -> Row:
    """Restart the original's edge under the same load: that was how it took a change."""
    name, port = f"{edge.name}-original", free_port()
    edge.others.append(name)
    configuration = f"{HERE / 'original/haproxy.cfg'}:/usr/local/etc/haproxy/haproxy.cfg:ro"
    options = [f"--name={name}", f"--network={edge.name}", f"--publish=127.0.0.1:{port}:8080"]
    docker("run", "--detach", *options, f"--volume={configuration}", edge.image)
    connect = in_the_clear(port)
    eventually(
        lambda: (
            subprocess.run(["curl", "-fso", "/dev/null", f"http://127.0.0.1:{port}/ui"], check=False).returncode == 0
        )
    )
    with both(Load(connect, page, 8, keep=True), Load(connect, page, 4, keep=False)) as loads:
        for _ in range(RESTARTS):
            docker("restart", "--time=10", name)
            time.sleep(1)
    return lost(f"requests lost across {RESTARTS} restarts of the original's edge", loads, "")


def processor_seconds(name: str) -> float:
    """Return what a container has taken of the processors, processes that have ended included."""
    with closing(from_env()) as engine:
        told: Any = engine.containers.get(name).stats(stream=False)
        return float(told["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def resident(name: str) -> float:
    """Return the memory of all processes of a container in MiB."""
    listed = docker("top", name, "-eo", "pid").split()[1:]
    return sum(
        int(line.split()[1]) / 1024
        for pid in listed
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )


def signed(edge: Edge, key: str, secret: str) -> tuple[float, float]:
    """Deliver as fast as can be by wrk; return deliveries a second, and the edge's microseconds for each."""
    with tempfile.TemporaryDirectory() as folder:
        bodies = [f'{{"id": "{new_key()}"}}'.ljust(HOOK_SIZE) for _ in range(HOOKS)]
        lines = [f"{signature(secret, body.encode())} {body[:42].strip()}" for body in bodies]
        (Path(folder) / "signed").write_text("\n".join(lines))
        script = Path(folder) / "deliver.lua"
        script.write_text(
            f"local n, all = 0, {{}}\n"
            f'for line in io.lines("{folder}/signed") do all[#all + 1] = line end\n'
            f"request = function()\n n = n % #all + 1\n local sign, body = all[n]:match('^(%S+) (.*)$')\n"
            f" body = body .. string.rep(' ', {HOOK_SIZE} - #body)\n"
            f" return wrk.format('POST', '{HOOK}{key}', {{['X-Hub-Signature-256'] = sign}}, body)\nend\n"
            "local bad = 0\nresponse = function(status) if status ~= 200 then bad = bad + 1 end end\n"
        )
        before = processor_seconds(edge.name)
        url = f"https://localhost:{edge.port}"
        shown = run("wrk", ["wrk", "-t1", "-c8", f"-d{SECONDS}s", "-s", script, url], timeout=60)
        spent = processor_seconds(edge.name) - before
    if "Non-2xx" in shown:
        raise LabError(f"wrk was refused:\n{shown}")
    done = next(int(line.split()[0]) for line in shown.splitlines() if "requests in" in line)
    if done > HOOKS:
        raise LabError(f"{done} deliveries of {HOOKS} bodies: some were duplicates")
    return done / SECONDS, spent / done * 1e6


def hashing(edge: Edge, key: str, secret: str) -> list[Row]:
    """Deliver with the HMAC, and with a configuration that takes it for granted."""
    rounds = []
    for _ in range(ROUNDS):
        hashed = signed(edge, key, secret)
        edge.reload(TAKEN_FOR_GRANTED)
        rounds.append((*hashed, *signed(edge, key, secret)))
        edge.configure(key, secret)
    rates, times, other_rates, other_times = zip(*rounds, strict=True)
    ratios = [one / other for one, other in zip(times, other_times, strict=True)]
    return [
        Row(f"verified deliveries of 10 kB over 8 connections ({ROUNDS} rounds)", f"{spread(rates, 0)} a second"),
        Row("the edge's processor time for one", f"{spread(times, 0)} µs"),
        Row("the same without the HMAC", f"{spread(other_times, 0)} µs, {spread(other_rates, 0)} a second"),
        Row("ratio of the two, round by round", spread(ratios, 2)),
    ]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return median and range."""
    low, middle, high = (f"{each:.{digits}f}" for each in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}–{high})"


def memory(folder: Path) -> list[Row]:
    """Hold as many of the largest bodies as the edge takes from senders whom it does not know yet."""
    with (
        answering() as upstream,
        ground(folder, upstream) as before,
        before.doorstep() as step,
        before.edge(step) as name,
        ExitStack() as stack,
    ):
        siege = Siege(step, before.given, 0, "memory", "", before.witness)
        large = replace(siege, body=siege.body.ljust(LARGEST))
        idle = resident(name)
        for number in range(8):
            connection = stack.enter_context(large.elsewhere(number // 4).line.tls())
            connection.sendall(large.request()[:-1])
        time.sleep(1)
        full = resident(name)
        stack.close()
        mixed = max(filled(name, siege) for _ in range(MIXED))
        limit = f"{before.given.container['memory']:.0f}"
        return [
            Row("memory, nothing to do", f"{idle:.0f} MiB"),
            Row("while it holds 8 bodies of 25 MiB", f"{full:.0f} MiB", limit),
            Row(f"the same with 56 smaller ones among them, the most of {MIXED} times", f"{mixed:.0f} MiB", limit),
        ]


def filled(name: str, siege: Siege) -> float:
    """Have the edge hold all the bodies that it takes, in some order; return its memory, and end them."""
    sizes = [LARGEST] * 8 + [SMALLER] * 56
    random.shuffle(sizes)
    large = count()
    with ExitStack() as stack:
        held = []
        for number, size in enumerate(sizes):
            source = next(large) // 4 if size == LARGEST else 2 + number % 2
            one = replace(siege, body=f'{{"id": "{new_key()}"}}'.encode().ljust(size)).elsewhere(source)
            held.append((stack.enter_context(one.line.tls()), one.request()))
        for connection, request in held:
            connection.sendall(request[:-1])
        time.sleep(0.5)
        most = resident(name)
        for connection, request in held:
            connection.sendall(request[-1:])
            if (said := answer(connection).status) != 200:
                raise LabError(f"a body that the edge had a place for was answered {said}")
        siege.witness.forget()
    return most


def strangers(line: Line, request: bytes, told: "Queue[tuple[int, int]]", seconds: float) -> None:
    """Call the edge from many sources, each on a connection of its own; tell how many were answered, and refused."""
    lines = [replace(line, source=number).tls() for number in range(SOURCES)]
    answered = refused = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        # As many as are due by now: a slow moment is made up for.
        for _ in range(min(SOURCES, int(passed * BAD_CALLS) - answered)):
            connection = lines[answered % SOURCES]
            connection.sendall(request)
            refused += answer(connection).status == 403
            answered += 1
        time.sleep(0.002)
    told.put((answered, refused))


def waited(load: Load) -> float:
    """Return the 99th percentile of milliseconds."""
    return statistics.quantiles(load.seconds, n=100)[98] * 1000


def beside_strangers(folder: Path) -> list[Row]:
    """Ask for pages, alone and while strangers send deliveries with the right key and a wrong signature."""
    with (
        answering() as upstream,
        ground(folder, upstream) as before,
        before.doorstep() as step,
        before.edge(step),
    ):
        siege = Siege(step, before.given, SOURCES, "bad", "", before.witness)
        wrong = siege.request(f"X-Hub-Signature-256: {signature(new_secret(), siege.body)}", signed=False)

        def pages() -> Load:
            with Load(siege.line.tls, page, 2, keep=True, pause=0.04).running() as load:
                time.sleep(SECONDS)
            return load

        told: Queue[tuple[int, int]] = multiprocessing.Queue()
        idle, busy, rates = [], [], []
        for _ in range(ROUNDS):
            idle.append(waited(pages()))
            calling = multiprocessing.Process(target=strangers, args=(siege.line, wrong, told, SECONDS + 4))
            calling.start()
            time.sleep(2)
            busy.append(waited(pages()))
            answered, refused = told.get(timeout=60)
            calling.join()
            if refused < answered:
                raise LabError(f"{answered - refused} bad deliveries were not refused as such")
            rates.append(answered / (SECONDS + 4))
    ratios = [one / other for one, other in zip(busy, idle, strict=True)]
    return [
        Row(f"99th percentile of a page ({ROUNDS} rounds of {SECONDS} s)", f"{spread(idle)} ms"),
        Row(f"while {SOURCES} sources send {spread(rates, 0)} bad deliveries a second", f"{spread(busy)} ms"),
        Row("ratio of the two, round by round", spread(ratios), "2 at most"),
    ]


def measure() -> list[Row]:
    """Measure everything in one run."""
    packages(wrk="wrk")
    key, secret = new_key(), new_secret()
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name, part in (("memory", memory), ("strangers", beside_strangers)):
            say(f"the edge: {name}")
            (Path(folder) / name).mkdir()
            rows += part(Path(folder) / name)
    with new_edge() as edge:
        edge.settings |= UNLIMITED
        edge.configure(key, secret)
        edge.start()
        say("the edge: reloads and new secrets")
        rows += changes(edge, key, secret)
        rows.append(restarts(edge))
        edge.configure(key, secret)
        say("the edge: hashing")
        return rows + hashing(edge, key, secret)


if __name__ == "__main__":
    try:
        print(
            f"load before {os.getloadavg()[0]:.1f}\n\n{table('the edge alone', measure())}\n"
            f"\nload after {os.getloadavg()[0]:.1f}"
        )
    except LabError as error:
        say(f"\n{error}")
        sys.exit(1)
