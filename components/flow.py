"""Flow: one Kestra flow kept equal to its file, over Kestra's REST API."""

import ssl
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import yaml
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

if TYPE_CHECKING:
    import httpx

NAMESPACE = "prod"
"""Where all flows are, in Kestra and in the addresses of webhooks."""
WAIT_SECONDS = 180
"""How long the edge and Kestra may take to answer a change, as after a restart."""
READ_SECONDS = 20
"""How long they may take to answer a refresh, which is there to notice that they are gone."""


class FlowError(Exception):
    """Kestra did not take, give or delete a flow; says which, and what Kestra said."""


class Unreachable(FlowError):
    """Kestra cannot be asked: no answer in time, a login that it refuses, or a certificate that is not trusted."""


class _Unavailable(Exception):
    """Kestra or the edge is starting: worth another try."""


class Kestra:
    """Kestra's flow API. httpx rather than kestrapy: that client has no public way to trust a private CA."""

    def __init__(self, url: str, ca: str, user: str, password: str, patience: float = WAIT_SECONDS) -> None:
        """Log in as `user` at `url`, and wait `patience` seconds for an answer.

        `ca` is the PEM text of a private CA to trust besides the system's, or empty.
        """
        import httpx

        context = ssl.create_default_context()
        if ca:
            context.load_verify_locations(cadata=ca)
        self._url = url
        self._patience = patience
        self._client = httpx.Client(
            base_url=f"{url}/api/v1/main", auth=(user, password), verify=context, timeout=30, trust_env=False
        )

    def get(self, flow: str) -> str | None:
        """Return the source of `namespace/id`, or None when there is no such flow."""
        answer = self._call("GET", f"/flows/{flow}?source=true", accept=404)
        return None if answer.status_code == 404 else str(answer.json()["source"])

    def put(self, flow: str, source: str) -> None:
        """Store `source` as the flow, as a new revision if it exists."""
        exists = self.get(flow) is not None
        method, path = ("PUT", f"/flows/{flow}") if exists else ("POST", "/flows")
        answer = self._call(method, path, accept=422, body=source)
        if answer.is_error:
            raise FlowError(f"Kestra refuses flow {flow}, and keeps what it had: {_violations(answer)}")

    def delete(self, flow: str) -> None:
        """Delete the flow if it is there."""
        self._call("DELETE", f"/flows/{flow}", accept=404)

    def _call(self, method: str, path: str, *, accept: int, body: str | None = None) -> "httpx.Response":
        """Call, again and again while Kestra starts; raises FlowError for all answers but 2xx and `accept`."""
        import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Unavailable),
            wait=tenacity.wait_exponential(multiplier=0.2, max=5),
            stop=tenacity.stop_after_delay(self._patience),
        )
        try:
            answer = retrying(self._call_once, method, path, body)
        except tenacity.RetryError as error:
            last = error.last_attempt.exception()
            raise Unreachable(f"waited {self._patience:.0f} s for Kestra at {self._url}: {last}") from None
        if answer.is_error and answer.status_code != accept:
            raise FlowError(f"{method} {path} at {self._url}: {answer.status_code} {answer.text[:500]}")
        return answer

    def _call_once(self, method: str, path: str, body: str | None) -> "httpx.Response":
        import httpx

        try:
            headers = {} if body is None else {"Content-Type": "application/x-yaml"}
            answer = self._client.request(method, path, content=body, headers=headers)
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Unreachable(
                    f"the certificate of {self._url} is not trusted here ({error}): set tlsCa to the CA that signed it"
                ) from None
            raise _Unavailable(f"{type(error).__name__}: {error}") from error
        # 500 is what Kestra says of a question that its database does not answer; of a change it may mean that one.
        if answer.status_code in (429, 502, 503, 504) or (answer.status_code == 500 and method == "GET"):
            raise _Unavailable(f"it answered {answer.status_code} {answer.reason_phrase}")
        if answer.status_code == 401:
            raise Unreachable(f"Kestra at {self._url} refuses the login in kestraUser and kestraPassword")
        return answer


def _violations(answer: "httpx.Response") -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:2000]}"


def _identity(source: str) -> str:
    document = yaml.safe_load(source)
    return f"{document['namespace']}/{document['id']}"


def _same(one: str, other: str) -> bool:
    """Equality of meaning: comments, order of keys and quoting are nobody's edit."""
    return _meaning(one) == _meaning(other)


def _meaning(source: str) -> str:
    """Return it in one way of writing; Python alone would say that true is 1."""
    return yaml.safe_dump(yaml.safe_load(source))


class FlowFileError(pulumi.RunError):
    """Everything that is wrong with the flows' files; a RunError, which Pulumi shows without a traceback."""


def read_flows(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """Return name → YAML of the flows `names` in `directory`; raises FlowFileError, before anything is declared.

    A flow's file bears its id. Otherwise a renamed file would be two resources of one flow, of which the old one's end
    deletes what the new one has stored.
    """
    sources = {name: (directory / f"{name}.yml").read_text() for name in names}
    problems = [] if sources else ["  there is none: `up` would delete all flows"]
    problems += [
        f"  flows/{stray.name} is not named *.yml: Kestra's Git tasks take it for a flow all the same: rename it"
        for stray in sorted(directory.glob("[!.]*"))
        if stray.suffix != ".yml"
    ]
    for name, source in sources.items():
        wanted = f"{NAMESPACE}/{name}"
        try:
            found = _identity(source)
        except (yaml.YAMLError, KeyError, TypeError) as error:
            problems.append(f"  flows/{name}.yml is not YAML with a namespace and an id: {error!r}")
            continue
        if found != wanted:
            problems.append(
                f"  flows/{name}.yml holds the flow {found}, not {wanted}:"
                f" name the file after the id, and keep every flow in the namespace {NAMESPACE}"
            )
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise FlowFileError(f"the flows' files have {count}; nothing was changed.\n" + "\n".join(problems))
    return sources


class FlowProvider(ResourceProvider):
    """Creates, updates, reads and deletes flows; logs in with what the stack is configured with now.

    No credential is in the state, and a rotated password serves refresh and delete as well.
    """

    def configure(self, req: ConfigureRequest) -> None:
        """Take the login from the stack's settings."""
        self._user = req.config.require("kestraUser")
        self._password = req.config.require("kestraPassword")

    def _kestra(self, properties: dict[str, Any], patience: float = WAIT_SECONDS) -> Kestra:
        return Kestra(properties["url"], properties["ca"], self._user, self._password, patience)

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, before anything is changed, what is not even a flow's YAML; Kestra itself judges the rest."""
        failures = []
        try:
            _identity(news["source"])
        except (yaml.YAMLError, KeyError, TypeError) as error:
            failures.append(CheckFailure("source", f"is not YAML with a namespace and an id: {error!r}"))
        return CheckResult(news, failures)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Store the flow; one that is there already, as after an interrupted run, is taken over."""
        flow = _identity(props["source"])
        self._kestra(props).put(flow, props["source"])
        return CreateResult(flow, props)

    def diff(self, id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare by meaning; another namespace or id is another flow. Refresh and delete use the address and CA."""
        moved = _identity(news["source"]) != id
        changed = moved or not _same(olds["source"], news["source"])
        changed = changed or any(olds[key] != news[key] for key in ("url", "ca"))
        return DiffResult(changes=changed, replaces=["source"] if moved else [], delete_before_replace=False)

    def update(self, id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Store a new revision."""
        self._kestra(news).put(id, news["source"])
        return UpdateResult(news)

    def read(self, id: str, props: dict[str, Any]) -> ReadResult:
        """Return the flow as Kestra has it, so that an edit in its UI shows as a diff of the YAML.

        It is left as it was while Kestra cannot be asked. With Kestra or the edge gone the same refresh notices that,
        and the next up mends it; a new password or CA in the settings is brought to the desk by that up.
        """
        try:
            source = self._kestra(props, READ_SECONDS).get(id)
        except Unreachable as error:
            print(f"warning: flow {id} could not be looked at: {error}", file=sys.stderr)
            return ReadResult(id, props)
        if source is None:
            return ReadResult("", {})
        if _same(source, props["source"]):
            return ReadResult(id, props)
        return ReadResult(id, {**props, "source": source})

    def delete(self, id: str, props: dict[str, Any]) -> None:
        """Delete the flow."""
        self._kestra(props).delete(id)


class Flow(Resource, module="carica", name="Flow"):
    """A flow in Kestra that has the same meaning as `source`."""

    source: pulumi.Output[str]
    """The flow's YAML."""

    def __init__(
        self, name: str, *, url: str, ca: str, source: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the flow in `source`, YAML text without secrets, for the Kestra behind the edge at `url`.

        `ca` is the PEM text of the CA that signed the edge's certificate, empty when the system knows it.
        """
        super().__init__(FlowProvider(), name, {"url": url, "ca": ca, "source": source}, opts)
