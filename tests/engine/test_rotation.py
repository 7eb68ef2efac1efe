"""A new webhook key and secret while deliveries come in: one `up`, no container replaced, no delivery lost."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

import httpx

from lab import github
from tests.estate import Estate

PER_SECOND = 20
DEPLOY = "centaurin/carica-deploy"
HOOKS = 4
"""What the desk's repositories have."""
SECONDS = 120
"""Deliveries end then at the latest."""


@dataclass
class Senders:
    """Hooks that are not GitHub's: each delivery has the next of `pairs` of key and secret, on its own connection."""

    desk: Estate
    pairs: list[tuple[str, str]]
    sent: list[tuple[str, Future[int | str]]] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        running = self.desk.desk
        self.url, self.trust = running.webhook_urls["gh_push_deployment"].rpartition("/")[0], running.trust

    def run(self) -> None:
        """Send until `enough`."""
        end = time.monotonic() + SECONDS
        with ThreadPoolExecutor(max_workers=16) as pool:
            for number in count():
                if self.enough.wait(1 / PER_SECOND) or time.monotonic() > end:
                    return
                key, secret = self.pairs[number % len(self.pairs)]
                self.sent.append((key, pool.submit(self.deliver, key, secret, number)))

    def deliver(self, key: str, secret: str, number: int = 0) -> int | str:
        """Send a push that starts nothing, unlike any before; return the status, or what went wrong."""
        body = github.push("centaurin/carica-deploy", f"{number:040x}", branch="other")
        body["head_commit"]["timestamp"] = str(time.time_ns())
        try:
            return github.Delivery("push", body, secret).send(f"{self.url}/{key}", self.trust).status_code
        except httpx.TransportError as failed:
            return repr(failed)


def push(desk: Estate, enough: threading.Event, pushed: list[str]) -> None:
    """Push to a branch that starts nothing, again and again, until `enough`."""
    while not enough.wait(0.2):
        commit = desk.github.commit(DEPLOY, {"VERSION": f"{time.time_ns()}\n"}, branch="other").commit
        assert commit
        pushed.append(commit)


def test_no_delivery_is_lost_while_key_and_secret_change(desk: Estate) -> None:
    old = desk.setting("webhookKey"), desk.setting("webhookSecret")
    new = "another-key-of-the-webhooks", "another-secret-of-the-webhooks"
    before, senders = desk.container_ids(), Senders(desk, [old])
    assert senders.deliver(*new) == 404
    desk.set("webhookKey", new[0], secret=True)
    desk.set("webhookSecret", new[1], secret=True)

    pushed: list[str] = []
    sending = threading.Thread(target=senders.run), threading.Thread(target=push, args=(desk, senders.enough, pushed))
    for each in sending:
        each.start()
    up = desk.started_up()
    assert up.stdout
    said = []
    for line in up.stdout:
        said.append(line)
        if "haproxy-configuration updated" in line:
            senders.pairs = [old, new]  # from here on hooks move, one after the other
    assert up.wait() == 0, "".join(said)
    time.sleep(3)
    senders.enough.set()
    for each in sending:
        each.join()

    assert len(senders.pairs) == 2, "".join(said)
    answers = [(key, sent.result()) for key, sent in senders.sent]
    assert [answer for answer in answers if answer[1] not in (200, 204)] == []
    for key, _ in (old, new):
        assert sum(1 for each, _ in answers if each == key) >= PER_SECOND
    # And GitHub's own hook: it moved in that `up`, and each push was taken, before and after.
    heard = {
        each["request"]["payload"]["after"]: each
        for each in desk.github.deliveries(DEPLOY)
        if each["event"] == "push" and each["request"]["payload"]["after"] in pushed
    }
    assert [each for each in heard.values() if each["status_code"] not in (200, 204)] == []
    assert set(heard) == set(pushed)
    (hook,) = desk.github.repository(DEPLOY)["hooks"].values()
    assert (hook["url"].rpartition("/")[2], hook["secret"]) == new

    assert senders.deliver(new[0], "a secret that nobody set") == 403
    assert desk.container_ids() == before
    desk.expect_no_changes()
    assert all(url.endswith(f"/{new[0]}") for url in desk.desk.webhook_urls.values())

    desk.set("webhookKey", old[0], secret=True)
    desk.set("webhookSecret", old[1], secret=True)
    changes = desk.up().changes()
    assert changes["update"] == 1 + HOOKS  # the edge, and each repository's hook
    assert set(changes) == {"update", "same"}
    assert desk.container_ids() == before
