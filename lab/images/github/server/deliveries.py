"""Deliveries of webhooks: signed, sent once, within ten seconds, and logged with what was answered."""

import hashlib
import hmac
import json
import ssl
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

import httpx

from .models import Delivery, Hook, Json, Repository, now
from .store import Store

TIMEOUT = 10
ANSWER_KEPT = 100_000
WORKERS = 8


class Courier:
    """Sends in the background. There is no second try: somebody asks for a redelivery, or nobody does."""

    def __init__(self, store: Store, connect_to: str, authority: str | None) -> None:
        """`connect_to` holds FROM=TO pairs of host:port, `authority` a CA (PEM) to trust besides the public ones."""
        self._store = store
        self._connect_to = dict(pair.split("=") for pair in connect_to.split(",") if pair)
        self._trust = ssl.create_default_context()
        if authority:
            self._trust.load_verify_locations(cadata=authority)
        self._pool = ThreadPoolExecutor(WORKERS)
        self._under_way: set[Future[None]] = set()

    @property
    def pending(self) -> int:
        """Return how many deliveries are not logged yet."""
        return len(self._under_way)

    def event(self, repository: Repository, event: str, payload: Json, only: Hook | None = None) -> None:
        """Deliver an event to the active hooks that want it, or to `only` that one."""
        wanting = [hook for hook in repository.hooks.values() if hook.active and {event, "*"} & set(hook.events)]
        for hook in [only] if only else wanting:
            self._send(repository, hook, event, payload, str(uuid.uuid4()), again=False)

    def again(self, repository: Repository, hook: Hook, old: Delivery) -> None:
        """Deliver once more what `old` delivered, under its guid, signed with the secret of now."""
        payload = self._store.exchange(old.id)["request"]["payload"]
        self._send(repository, hook, old.event, payload, old.guid, again=True)

    def _send(self, repository: Repository, hook: Hook, event: str, payload: Json, guid: str, *, again: bool) -> None:
        text = json.dumps(payload, separators=(",", ":"))
        body = (text if hook.content_type == "json" else urlencode({"payload": text})).encode()
        headers = _headers(repository, hook, event, guid, body)
        delivery = Delivery(
            id=self._store.new_id(),
            hook_id=hook.id,
            guid=guid,
            delivered_at=now(),
            redelivery=again,
            duration=0,
            status="",
            status_code=0,
            event=event,
            action=payload.get("action"),
            url=hook.url,
        )
        exchange: Json = {"request": {"headers": headers, "payload": payload}}
        job = self._pool.submit(self._deliver, repository, hook, delivery, exchange, body, hook.insecure_ssl == "1")
        self._under_way.add(job)
        job.add_done_callback(self._under_way.discard)

    def _deliver(
        self, repository: Repository, hook: Hook, delivery: Delivery, exchange: Json, body: bytes, insecure: bool
    ) -> None:
        began = time.monotonic()
        headers = exchange["request"]["headers"]
        exchange["response"] = {"headers": {}, "payload": ""}
        try:
            answer = self._post(delivery.url, headers, body, insecure)
            delivery.status_code = answer.status_code
            delivery.status = "OK" if answer.is_success else f"Invalid HTTP Response: {answer.status_code}"
            exchange["response"] = {"headers": dict(answer.headers), "payload": answer.text[:ANSWER_KEPT]}
        except httpx.TimeoutException:
            delivery.status = "timed out"
        except httpx.HTTPError as error:
            certificate = "certificate" in str(error).lower()
            delivery.status = "peer certificate cannot be authenticated" if certificate else "failed to connect to host"
        delivery.duration = round(time.monotonic() - began, 2)
        with self._store.lock:
            hook.last_response = {
                "code": delivery.status_code,
                "status": "active" if delivery.status == "OK" else "misconfigured",
                "message": delivery.status,
            }
            self._store.log(repository, delivery, exchange)
            self._store.save()

    def _post(self, url: str, headers: Mapping[str, str], body: bytes, insecure: bool) -> httpx.Response:
        """Post as curl does with --connect-to: another machine, the URL's Host and certificate name."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        where = self._connect_to.get(f"{parts.hostname}:{port}", f"{parts.hostname}:{port}")
        verify: ssl.SSLContext | bool = False if insecure else self._trust
        deadline = time.monotonic() + TIMEOUT
        with (
            httpx.Client(verify=verify, timeout=TIMEOUT, trust_env=False) as client,
            client.stream(
                "POST",
                parts._replace(netloc=where, fragment="").geturl(),
                headers={**headers, "Host": parts.netloc.rpartition("@")[2]},
                content=body,
                extensions={"sni_hostname": parts.hostname},
            ) as answer,
        ):
            # The time is for the whole answer, not for each piece of it.
            kept = b""
            for piece in answer.iter_raw():
                kept += piece
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("ten seconds are over")
            return httpx.Response(answer.status_code, headers=answer.headers, content=kept)


def _headers(repository: Repository, hook: Hook, event: str, guid: str, body: bytes) -> dict[str, str]:
    kind = "application/json" if hook.content_type == "json" else "application/x-www-form-urlencoded"
    headers = {
        "Accept": "*/*",
        "Content-Type": kind,
        "User-Agent": "GitHub-Hookshot/0000000",
        "X-GitHub-Delivery": guid,
        "X-GitHub-Event": event,
        "X-GitHub-Hook-ID": str(hook.id),
        "X-GitHub-Hook-Installation-Target-ID": str(repository.id),
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }
    if hook.secret:
        for name, algorithm in {"X-Hub-Signature": "sha1", "X-Hub-Signature-256": "sha256"}.items():
            digest = hmac.new(hook.secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()
            headers[name] = f"{algorithm}={digest}"
    return headers
