"""Each policy on what it must let pass and what it must not, without a CLI; and all of them on the real program."""

from collections.abc import Mapping
from typing import Any

import pytest
from pulumi_policy import (
    EnforcementLevel,
    PolicyCustomTimeouts,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies import RULES
from policies.rule import CONTAINER, JOB
from tests.unit.program import plain, program
from tests.unit.recording import declare

VOLUME, NETWORK = "docker:index/volume:Volume", "docker:index/network:Network"
IMAGE, PROVIDER = "docker:index/remoteImage:RemoteImage", "pulumi:providers:docker"
COMMAND, COPY = "command:remote:Command", "command:remote:CopyToRemote"
REPOSITORY, HOOK = "github:index/repository:Repository", "github:index/repositoryWebhook:RepositoryWebhook"
VARIABLE, FLOW = (
    "github:index/actionsEnvironmentVariable:ActionsEnvironmentVariable",
    "pulumi-python:dynamic/carica:Flow",
)

GOOD: dict[str, Mapping[str, Any]] = {
    CONTAINER: {
        "image": "sha256:" + "0" * 64, "user": "kestra", "memory": 512, "memorySwap": 512, "restart": "unless-stopped",
        "logDriver": "json-file", "logOpts": {"max-size": "10m", "max-file": "3"},
        "capabilities": {"drops": ["ALL"]}, "securityOpts": ["no-new-privileges:true"],
        "healthcheck": {"tests": ["CMD", "true"]}, "envs": ["PASSWORD=is secret, and not judged here"],
        "volumes": [{"volumeName": "data", "containerPath": "/data"}], "command": ["server", "--token-file=/t"],
    },
    JOB: {"user": "kestra", "capabilities": [], "script": "psql -f /databases.sql", "environment": {"PGUSER": "u"}},
    IMAGE: {"name": "kestra/kestra:v2.0.8"},
    NETWORK: {"name": "n"},
    VOLUME: {"name": "v"},
    PROVIDER: {"host": "ssh://root@desk", "sshOpts": ["-o", "StrictHostKeyChecking=yes"]},
    COMMAND: {"create": "timeout 9 sh", "connection": {"host": "h", "hostKey": "ssh-ed25519 AAAA"}},
    COPY: {"remotePath": "/p", "connection": {"host": "h", "hostKey": "ssh-ed25519 AAAA"}},
    REPOSITORY: {"name": "carica"},
    HOOK: {"configuration": {"url": "https://desk/key", "contentType": "json", "insecureSsl": False, "secret": "s"}},
    VARIABLE: {"variableName": "STACK", "value": "prod"},
    FLOW: {"url": "https://desk", "source": "password: \"{{ secret('TOKEN') }}\"\nurl: https://u:{{ secret('T') }}@h"},
}  # fmt: skip

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END OPENSSH PRIVATE KEY-----\n"
TOKEN = "ghp_" + "a" * 36

BAD: dict[str, list[tuple[str, dict[str, Any], str]]] = {
    "only-the-edge-publishes-ports": [
        (CONTAINER, {"ports": [{"internal": 8080, "external": 8080}]}, "publishes ports"),
        (CONTAINER, {"publishAllPorts": True}, "publishes ports"),
    ],
    "no-container-sees-the-host": [
        (CONTAINER, {"volumes": [{"hostPath": "/var/run/docker.sock"}]}, "docker.sock of the host: whoever talks to"),
        (CONTAINER, {"volumes": [{"volumeName": "v"}, {"hostPath": "/etc"}]}, "given /etc of the host"),
        (CONTAINER, {"mounts": [{"type": "bind", "source": "/run", "target": "/run"}]}, "given /run of the host"),
        (CONTAINER, {"devices": [{"hostPath": "/dev/mem"}]}, "given /dev/mem of the host"),
    ],
    "no-container-has-power-over-the-host": [
        (CONTAINER, {"privileged": True}, "is privileged"),
        (CONTAINER, {"networkMode": "host"}, "networkMode `host`"),
        (CONTAINER, {"pidMode": "host"}, "pidMode `host`"),
        (CONTAINER, {"capabilities": None}, "keeps capabilities"),
        (CONTAINER, {"capabilities": {"drops": ["ALL"], "adds": ["SYS_ADMIN"]}}, "keeps capabilities"),
        (CONTAINER, {"securityOpts": []}, "may gain privileges"),
        (CONTAINER, {"securityOpts": ["no-new-privileges:true", "seccomp:unconfined"]}, "runs unconfined (seccomp"),
    ],
    "nothing-runs-as-root": [
        (CONTAINER, {"user": None}, "has no user"),
        (CONTAINER, {"user": "root"}, "runs as root"),
        (CONTAINER, {"user": "0:0"}, "runs as root"),
        (JOB, {"user": "root"}, "runs as root with no capability"),
        (JOB, {"user": "root", "capabilities": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}, "CAP_SYS_ADMIN"),
    ],
    "memory-is-limited": [
        (CONTAINER, {"memory": None}, "no memory limit"),
        (CONTAINER, {"memorySwap": None}, "512 MiB but swaps beyond"),
        (CONTAINER, {"memorySwap": -1}, "512 MiB but swaps beyond"),
    ],
    "logs-are-rotated": [
        (CONTAINER, {"logOpts": None}, "lacks max-size, max-file"),
        (CONTAINER, {"logOpts": {"max-size": "10m"}}, "lacks max-file"),
    ],
    "containers-restart": [
        (CONTAINER, {"restart": None}, "`restart` is no"),
        (CONTAINER, {"restart": "no"}, "`restart` is no"),
    ],
    "containers-are-watched": [
        (CONTAINER, {"healthcheck": None}, "no healthcheck"),
        (CONTAINER, {"healthcheck": {"tests": ["NONE"]}}, "no healthcheck"),
    ],
    "images-are-pinned": [
        (CONTAINER, {"image": "kestra/kestra:v2.0.8"}, "whatever the name kestra/kestra:v2.0.8 stands for"),
        (IMAGE, {"name": "kestra/kestra:latest"}, "whatever was pushed last"),
        (IMAGE, {"name": "registry:5000/kestra/kestra"}, "whatever was pushed last"),
    ],
    "the-data-network-is-internal": [(NETWORK, {"internal": False}, "leads out")],
    "data-is-protected": [(VOLUME, {}, "can be deleted")],
    "repositories-are-protected": [(REPOSITORY, {}, "can be deleted on GitHub")],
    "servers-are-known-by-their-key": [
        (COMMAND, {"connection": {"host": "h"}}, "trusts whichever server answers"),
        (COPY, {"connection": {"host": "h", "hostKey": ""}}, "trusts whichever server answers"),
        (COMMAND, {"connection": {"hostKey": "k", "proxy": {"host": "p"}}}, "trusts whichever jump host answers"),
    ],
    "engines-are-known-by-their-key": [
        (PROVIDER, {"sshOpts": ["-o", "StrictHostKeyChecking=no"]}, "trusts whichever engine"),
        (PROVIDER, {"sshOpts": ["-oStrictHostKeyChecking=accept-new"]}, "trusts whichever engine"),
    ],
    "hooks-are-signed-and-encrypted": [
        (HOOK, {"configuration": {"url": "https://d", "secret": "s", "insecureSsl": True}}, "whatever their cert"),
        (HOOK, {"configuration": {"url": "https://d"}}, "is not signed"),
        (HOOK, {"configuration": {"url": "http://d", "secret": "s"}}, "in the clear"),
        (HOOK, {"configuration": None}, "is not signed"),
    ],
    "no-secret-stands-in-the-open": [
        (CONTAINER, {"command": ["run", "--password=hunter2"]}, "a password in `command`"),
        (CONTAINER, {"labels": [{"label": "owner", "value": TOKEN}]}, "a GitHub token in `labels`"),
        (CONTAINER, {"healthcheck": {"tests": ["CMD", "curl", "http://u:p@h"]}}, "a password in `healthcheck`"),
        (JOB, {"script": "PGPASSWORD=hunter2 psql"}, "a password in `script`"),
        (JOB, {"environment": {"PGPASSWORD": "hunter2"}}, "a password in `environment`"),
        (COMMAND, {"create": f"echo '{KEY}' > id"}, "a private key in `create`"),
        (FLOW, {"source": f"token: {TOKEN}"}, "a GitHub token in `source`"),
        (VARIABLE, {"value": KEY}, "a private key in `value`"),
    ],
}  # fmt: skip

BELOW = {NETWORK: "carica:postgres:Postgres$"}
"""The component that a type's rule is about."""


def faults(type_: str, props: Mapping[str, Any], *, below: str = "", **named: Any) -> dict[str, list[str]]:
    """Return what each policy says of a resource; `named` may give its `name`, `stack` and `protect`."""
    name = named.get("name", "a-resource")
    limits = PolicyCustomTimeouts(0, 0, 0)
    options = PolicyResourceOptions(named.get("protect", False), [], None, [], limits, [], None)
    urn = f"urn:pulumi:{named.get('stack', 'prod')}::carica-kestra::{below}{type_}::{name}"
    resource = ResourceValidationArgs(type_, unknown_checking_proxy(dict(props)), urn, name, options, None)
    said: dict[str, list[str]] = {}
    for policy in RULES:
        assert isinstance(policy, ResourceValidationPolicy)
        found: list[str] = []
        policy.validate(resource, lambda text, urn, found=found: found.append(text))  # type: ignore[misc]
        said |= {policy.name: found} if found else {}
    return said


def test_every_policy_is_mandatory_and_has_a_case() -> None:
    assert {policy.enforcement_level for policy in RULES} == {EnforcementLevel.MANDATORY}
    assert [policy.name for policy in RULES] == list(BAD)


@pytest.mark.parametrize("type_", GOOD)
def test_what_is_as_it_should_be_passes(type_: str) -> None:
    assert faults(type_, {"internal": True, **GOOD[type_]}, below=BELOW.get(type_, ""), protect=True) == {}


@pytest.mark.parametrize(
    ("policy", "type_", "change", "words"),
    [(policy, *case) for policy, cases in BAD.items() for case in cases],
)
def test_what_is_not_is_named_with_how_to_mend_it(policy: str, type_: str, change: dict[str, Any], words: str) -> None:
    said = faults(type_, {**GOOD[type_], **change}, below=BELOW.get(type_, ""))[policy]
    assert any(words in text for text in said), said
    assert all(text.startswith("a-resource ") and ". To mend it, " in text for text in said)
    assert not any(secret in text for text in said for secret in ("hunter2", TOKEN, "b3BlbnNzaC1r"))


def test_the_edge_may_publish_ports() -> None:
    edge = {**GOOD[CONTAINER], "ports": [{"internal": 8443, "external": 443}]}
    assert faults(CONTAINER, edge, below="carica:haproxy:HAProxy$") == {}


def test_a_job_that_gives_a_volume_to_its_user_may_be_root() -> None:
    assert faults(JOB, {**GOOD[JOB], "user": "root", "capabilities": ["CAP_CHOWN"]}) == {}


def test_what_a_preview_does_not_know_yet_is_judged_by_the_up() -> None:
    assert faults(CONTAINER, {**GOOD[CONTAINER], "image": UNKNOWN_STRING_VALUE}) == {}
    known = {"PGUSER": "u", "SERVER": UNKNOWN_STRING_VALUE, "PGPASSWORD": "hunter2"}
    assert len(faults(JOB, {**GOOD[JOB], "environment": known})["no-secret-stands-in-the-open"]) == 1


@pytest.mark.parametrize(("type_", "policy"), [(VOLUME, "data-is-protected"), (REPOSITORY, "repositories-are-protect")])
def test_protection_is_asked_for_in_prod_only(type_: str, policy: str) -> None:
    assert next(iter(faults(type_, GOOD[type_]))).startswith(policy)
    assert faults(type_, GOOD[type_], stack="dev") == {}


@pytest.mark.parametrize("what", ["configuration", "run", "sockets"])
def test_volumes_that_every_up_fills_anew_need_no_protection(what: str) -> None:
    assert faults(VOLUME, {}, name=f"carica-prod-x-{what}") == {}


def test_networks_that_lead_out_are_fine_elsewhere() -> None:
    assert faults(NETWORK, {"name": "web"}, below="carica:kestra:Kestra$") == {}


def test_an_image_by_digest_needs_no_tag() -> None:
    assert faults(IMAGE, {"name": "haproxy@sha256:" + "0" * 64}) == {}


def test_the_real_program_breaks_no_rule() -> None:
    for each in declare(lambda: program()):
        parent = each.options.parent.split("::")[2].split("$")[-1] + "$" if each.options.parent else ""
        said = faults(each.type, plain(each), below=parent, name=each.name, protect=each.options.protect)
        assert said == {}, each.name
