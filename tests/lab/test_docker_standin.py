"""The docker stand-in as Pulumi's engine talks to it, on a real Docker engine.

What is expected of it was seen on pulumi-docker 5.1.0 (reference/plugin_behaviour.md) or read in its source.
"""

import base64
import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.rpc import UNKNOWN

from lab.apt import packages, which
from lab.engine import engine
from lab.paths import ROOT

IMAGE = "docker-standin/busybox:1"
TYPES = {
    "Container": "docker:index/container:Container",
    "Network": "docker:index/network:Network",
    "RemoteImage": "docker:index/remoteImage:RemoteImage",
    "Volume": "docker:index/volume:Volume",
}
FOREVER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
HEALTHY = {"tests": ["CMD", "true"], "interval": "0.2s", "timeout": "2s", "retries": 3}
Properties = dict[str, Any]


class RefusedError(Exception):
    """A check that failed: property → reason."""

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__(str(faults))
        self.faults = faults


class HalfMadeError(Exception):
    """A creation that failed with something made, which Pulumi remembers."""

    def __init__(self, resource: "Resource", message: str) -> None:
        super().__init__(message)
        self.resource = resource


@dataclass
class Resource:
    """A resource as Pulumi's state holds it."""

    kind: str
    id: str
    inputs: Properties
    outputs: Properties


@dataclass
class Difference:
    """What a diff said."""

    changed: set[str]
    replacing: set[str]
    delete_first: bool


def struct(value: Properties) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


def plain(value: struct_pb2.Struct) -> Properties:
    return dict(json_format.MessageToDict(value))


def urn(kind: str) -> str:
    return f"urn:pulumi:test::test::carica:test:Part${TYPES[kind]}::it"


class Provider:
    """The plugin's process, asked in the engine's order: check, then create; check, diff, then update or replace."""

    def __init__(self, path: str = "", **settings: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lab.plugins.docker"], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{path}:{os.environ['PATH']}"},
        )  # fmt: skip
        assert self.process.stdout
        port = self.process.stdout.readline().strip()
        self.stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
        try:
            self.stub.Configure(provider_pb2.ConfigureRequest(args=struct(settings)))
        except grpc.RpcError:
            self.close()
            raise

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def check(self, kind: str, given: Properties) -> Properties:
        answer = self.stub.Check(provider_pb2.CheckRequest(urn=urn(kind), news=struct(given)))
        if answer.failures:
            raise RefusedError({each.property: each.reason for each in answer.failures})
        return plain(answer.inputs)

    def create(self, kind: str, given: Properties) -> Resource:
        inputs = self.check(kind, given)
        try:
            made = self.stub.Create(provider_pb2.CreateRequest(urn=urn(kind), properties=struct(inputs)))
        except grpc.RpcError as error:
            trailing: dict[str, bytes] = {each.key: each.value for each in error.trailing_metadata() or ()}
            details = trailing.get("grpc-status-details-bin")
            if details is None:
                raise
            failed = provider_pb2.ErrorResourceInitFailed()
            status_pb2.Status.FromString(details).details[0].Unpack(failed)
            half = Resource(kind, failed.id, inputs, plain(failed.properties))
            raise HalfMadeError(half, failed.reasons[0]) from None
        return Resource(kind, made.id, inputs, plain(made.properties))

    def diff(self, held: Resource, given: Properties) -> Difference:
        news = self.check(held.kind, given)
        answer = self.stub.Diff(
            provider_pb2.DiffRequest(
                urn=urn(held.kind), id=held.id, olds=struct(held.outputs), old_inputs=struct(held.inputs),
                news=struct(news),
            )
        )  # fmt: skip
        assert (answer.changes == provider_pb2.DiffResponse.DIFF_SOME) == bool(answer.diffs)
        return Difference(set(answer.diffs), set(answer.replaces), answer.deleteBeforeReplace)

    def update(self, held: Resource, given: Properties) -> Resource:
        news = self.check(held.kind, given)
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(urn=urn(held.kind), id=held.id, olds=struct(held.outputs), news=struct(news))
        )
        return Resource(held.kind, held.id, news, plain(answer.properties))

    def refresh(self, held: Resource) -> Resource | None:
        answer = self.stub.Read(
            provider_pb2.ReadRequest(
                urn=urn(held.kind), id=held.id, inputs=struct(held.inputs), properties=struct(held.outputs)
            )
        )
        return Resource(held.kind, answer.id, plain(answer.inputs), plain(answer.properties)) if answer.id else None

    def delete(self, held: Resource) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(urn=urn(held.kind), id=held.id, properties=struct(held.outputs)))


@pytest.fixture(scope="module")
def real() -> Iterator[docker.DockerClient]:
    """The engine itself, with an image made here: no registry is asked for one."""
    engine()
    client = docker.from_env()
    packages(busybox="busybox-static")
    busybox = which("busybox") or ""
    linked = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False).stdout
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(Path(busybox).resolve(), "bin/busybox")
        for library in re.findall(r"(/\S+) \(", linked):  # none where it is the static one
            tar.add(Path(library).resolve(), library.lstrip("/"))
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            if applet != "busybox":
                tar.addfile(link)
    client.api.import_image_from_data(packed.getvalue(), repository=IMAGE.split(":")[0], tag=IMAGE.split(":")[1])
    yield client
    client.images.remove(IMAGE, force=True)


@pytest.fixture(scope="module")
def provider(real: docker.DockerClient) -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


@pytest.fixture
def name(real: docker.DockerClient) -> Iterator[str]:
    """A name of the test's own; what is left under it is removed."""
    prefix = f"docker-standin-{uuid.uuid4().hex[:8]}"
    yield prefix
    for container in real.containers.list(all=True, filters={"name": prefix}, ignore_removed=True):
        # A busy engine was seen to answer that there is no such container when it had just removed it.
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
    for network in real.networks.list(names=[prefix]):
        network.remove()
    for volume in real.volumes.list(filters={"name": prefix}):
        volume.remove(force=True)


def simple(name: str, **more: Any) -> Properties:
    return {"name": name, "image": IMAGE, "command": FOREVER, **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- what is refused ---


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"mounts": [{"target": "/x", "type": "tmpfs"}]}, "mounts"),
        ({"platform": "linux/arm64"}, "platform"),
        ({"uploads": [{"file": "/x", "source": "/etc/passwd"}]}, "uploads"),
        ({"volumes": [{"fromContainer": "other"}]}, "volumes"),
        ({"networksAdvanced": [{"name": "n", "macAddress": "02:42:ac:11:00:02"}]}, "networksAdvanced"),
        ({"healthcheck": {"tests": ["CMD", "true"], "interval": "soon"}}, "healthcheck"),
        ({"ports": [{"internal": 80}]}, "ports"),
        ({"memory": 64}, "memorySwap"),
        ({"restart": "sometimes"}, "restart"),
        ({"attach": True, "rm": True}, "rm"),
    ],
)
def test_what_it_does_not_do_is_refused_before_anything_is_made(
    provider: Provider, name: str, given: Properties, fault: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        provider.create("Container", simple(name, **given))
    assert set(refused.value.faults) == {fault}


def test_start_interval_is_refused_where_the_engine_ignores_it(
    provider: Provider, real: docker.DockerClient, name: str
) -> None:
    given = simple(name, healthcheck={**HEALTHY, "startInterval": "1s"})
    if tuple(map(int, real.api.api_version.split("."))) < (1, 44):
        with pytest.raises(RefusedError, match="startInterval"):
            provider.check("Container", given)
    else:
        provider.check("Container", given)


def test_what_is_not_known_yet_is_let_through(provider: Provider, name: str) -> None:
    """A preview hands over such values; a check that looked into them would fail it."""
    provider.check(
        "Container",
        simple(
            name, image=UNKNOWN, restart=UNKNOWN, envs=UNKNOWN, uploads=[{"file": "/x", "content": UNKNOWN}],
            networksAdvanced=[{"name": UNKNOWN}], healthcheck={"tests": ["CMD", UNKNOWN], "interval": UNKNOWN},
        ),
    )  # fmt: skip


def test_unreachable_engine_is_reported_at_once() -> None:
    with pytest.raises(grpc.RpcError, match="failed to connect to any docker daemon"):
        Provider(host=f"tcp://127.0.0.1:{free_port()}")


def test_ssh_options_are_refused() -> None:
    with pytest.raises(grpc.RpcError, match="sshOpts"):
        Provider(host="ssh://deploy@127.0.0.1", sshOpts='["-i", "key"]')


def test_engine_behind_ssh(real: docker.DockerClient, name: str, tmp_path: Path) -> None:
    """With an ssh that stays on this machine: what is tested is the plugin's part, which once hung in its forks."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexec docker system dial-stdio\n')
    ssh.chmod(0o755)
    behind = Provider(str(tmp_path), host="ssh://deploy@192.0.2.1:2222")
    try:
        network = behind.create("Network", {"name": name})
        upload = {"file": "/big", "content": "x" * 300_000}
        made = behind.create("Container", simple(name, networksAdvanced=[{"name": network.id}], uploads=[upload]))
        assert behind.refresh(made) == made
        behind.delete(made)
        behind.delete(network)
    finally:
        behind.close()
    asked = set((tmp_path / "asked").read_text().splitlines())
    assert asked == {"-l deploy -p 2222 -- 192.0.2.1 docker system dial-stdio"}


# --- networks, volumes, images ---


def test_network(provider: Provider, real: docker.DockerClient, name: str) -> None:
    given = {
        "name": name, "internal": True, "attachable": True, "labels": [{"label": "a", "value": "b"}],
        "ipamConfigs": [{"subnet": "10.231.7.0/24", "gateway": "10.231.7.1"}],
    }  # fmt: skip
    made = provider.create("Network", given)
    found = real.networks.get(made.id).attrs
    assert (found["Internal"], found["Attachable"], found["Labels"]) == (True, True, {"a": "b"})
    assert found["IPAM"]["Config"] == [{"Subnet": "10.231.7.0/24", "Gateway": "10.231.7.1"}]
    assert (made.outputs["driver"], made.outputs["scope"]) == ("bridge", "local")
    assert provider.diff(made, given).changed == set()
    assert provider.refresh(made) == made
    assert provider.diff(made, {**given, "internal": False}) == Difference({"internal"}, {"internal"}, True)
    # Renamed: the new one does not need the old one's name, so that containers can move first.
    assert provider.diff(made, {**given, "name": name + "2"}) == Difference({"name"}, {"name"}, False)
    with pytest.raises(grpc.RpcError, match="already exists"):
        provider.create("Network", given)
    provider.delete(made)
    assert provider.refresh(made) is None


def test_network_in_use_is_removed_once_it_is_free(provider: Provider, real: docker.DockerClient, name: str) -> None:
    network = provider.create("Network", {"name": name})
    container = provider.create("Container", simple(name, networksAdvanced=[{"name": network.id}]))
    threading.Timer(1, lambda: provider.delete(container)).start()
    provider.delete(network)
    assert not real.networks.list(names=[name])


def test_volume(provider: Provider, real: docker.DockerClient, name: str) -> None:
    given = {"name": name, "labels": [{"label": "a", "value": "b"}]}
    made = provider.create("Volume", given)
    assert made.id == name
    assert made.outputs["mountpoint"] == real.volumes.get(name).attrs["Mountpoint"]
    assert provider.diff(made, given).changed == set()
    assert provider.refresh(made) == made
    changed = {**given, "labels": [{"label": "a", "value": "c"}]}
    assert provider.diff(made, changed) == Difference({"labels"}, {"labels"}, True)
    # A volume of that name is taken over as it is; its labels then differ from those asked for.
    taken = provider.create("Volume", changed)
    assert provider.diff(taken, changed).replacing == {"labels"}
    provider.delete(made)
    assert provider.refresh(made) is None


def test_image_that_is_there_is_not_pulled(provider: Provider, real: docker.DockerClient) -> None:
    given = {"name": IMAGE, "keepLocally": True}
    made = provider.create("RemoteImage", given)
    assert made.outputs["imageId"] == real.images.get(IMAGE).id
    assert made.outputs["repoDigest"] == ""
    assert provider.diff(made, given).changed == set()
    assert provider.refresh(made) == made
    provider.delete(made)
    assert real.images.get(IMAGE)


def test_image_that_is_not_kept_loses_its_name(provider: Provider, real: docker.DockerClient, name: str) -> None:
    real.images.get(IMAGE).tag(name, "1")
    provider.delete(provider.create("RemoteImage", {"name": f"{name}:1"}))
    with pytest.raises(docker.errors.ImageNotFound):
        real.images.get(f"{name}:1")
    assert real.images.get(IMAGE)


def test_image_that_cannot_be_pulled(provider: Provider) -> None:
    missing = f"127.0.0.1:{free_port()}/nothing:1"
    with pytest.raises(grpc.RpcError, match=f"unable to pull image {missing}"):
        provider.create("RemoteImage", {"name": missing})


# --- containers ---


def test_every_property_reaches_the_engine_and_settles(
    provider: Provider, real: docker.DockerClient, name: str, tmp_path: Path
) -> None:
    port = free_port()
    network = provider.create("Network", {"name": name, "ipamConfigs": [{"subnet": "10.231.8.0/24"}]})
    volume = provider.create("Volume", {"name": name})
    given = simple(
        name,
        image=provider.create("RemoteImage", {"name": IMAGE, "keepLocally": True}).outputs["imageId"],
        entrypoints=["/bin/busybox"],
        envs=["B=2", "A=1"],
        uploads=[
            {"file": "/etc/text", "content": "héllo\n", "permissions": "0440"},
            {"file": "/etc/bytes", "contentBase64": base64.b64encode(b"\0\xff").decode()},
            {"file": "/bin/tool", "content": "#!/bin/sh\n", "executable": True},
        ],
        user="1000:1000",
        capabilities={"drops": ["ALL"], "adds": ["NET_BIND_SERVICE"]},
        securityOpts=["no-new-privileges:true"],
        tmpfs={"/run": "size=1m"},
        shmSize=32,
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        ulimits=[{"name": "nofile", "soft": 512, "hard": 1024}],
        groupAdds=["2000"],
        memory=64, memorySwap=64, memoryReservation=32, cpus="0.5", cpuShares=512,
        restart="on-failure", maxRetryCount=2,
        logDriver="json-file", logOpts={"max-size": "1m", "max-file": "2"},
        init=True,
        hostname="box",
        healthcheck={**HEALTHY, "startPeriod": "1m30s"},
        networksAdvanced=[{"name": network.id, "aliases": ["db", "cache"], "ipv4Address": "10.231.8.50"}],
        ports=[
            {"internal": 8080, "external": port, "ip": "127.0.0.1"},
            {"internal": 8080, "external": port, "ip": "127.0.0.1", "protocol": "udp"},
        ],
        volumes=[
            {"volumeName": volume.id, "containerPath": "/data"},
            {"volumeName": volume.id, "containerPath": "/seen", "readOnly": True},
            {"hostPath": str(tmp_path), "containerPath": "/host", "readOnly": True},
        ],
        labels=[{"label": "role", "value": "test"}],
        hosts=[{"host": "elsewhere", "ip": "10.0.0.9"}],
        dns=["10.0.0.53"],
        workingDir="/data",
        stopSignal="SIGTERM", stopTimeout=7, destroyGraceSeconds=5,
        mustRun=True, start=True, wait=True, waitTimeout=20, removeVolumes=True,
    )  # fmt: skip
    made = provider.create("Container", given)

    container = real.containers.get(name)
    found, host = container.attrs, container.attrs["HostConfig"]
    config = found["Config"]
    assert found["State"]["Health"]["Status"] == "healthy"
    assert (config["Entrypoint"], config["Cmd"]) == (["/bin/busybox"], FOREVER)
    assert {"A=1", "B=2"} <= set(config["Env"])
    assert (config["User"], config["Hostname"], config["WorkingDir"]) == ("1000:1000", "box", "/data")
    assert (config["StopSignal"], config["StopTimeout"], config["Labels"]["role"]) == ("SIGTERM", 7, "test")
    assert config["Healthcheck"]["StartPeriod"] == 90 * 10**9
    assert (host["CapDrop"], host["CapAdd"]) in ((["ALL"], ["NET_BIND_SERVICE"]), (["ALL"], ["CAP_NET_BIND_SERVICE"]))
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Tmpfs"] == {"/run": "size=1m"}
    assert host["Sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 512, "Hard": 1024}]
    assert (host["GroupAdd"], host["Dns"], host["ExtraHosts"]) == (["2000"], ["10.0.0.53"], ["elsewhere:10.0.0.9"])
    sizes = [host[key] // 2**20 for key in ("ShmSize", "Memory", "MemorySwap", "MemoryReservation")]
    assert sizes == [32, 64, 64, 32]
    assert (host["NanoCpus"], host["CpuShares"], host["Init"]) == (500_000_000, 512, True)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    binding = [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
    assert found["NetworkSettings"]["Ports"] == {"8080/tcp": binding, "8080/udp": binding}
    endpoints = found["NetworkSettings"]["Networks"]
    assert list(endpoints) == [name], "the default network is left"
    assert endpoints[name]["IPAddress"] == "10.231.8.50"
    assert {"db", "cache"} <= set(endpoints[name]["Aliases"])
    mounts = {each["Destination"]: (each["Type"], each["RW"]) for each in found["Mounts"]}
    expected = {"/data": ("volume", True), "/seen": ("volume", False), "/host": ("bind", False)}
    assert expected.items() <= mounts.items()
    shown: Any = container.exec_run(["ls", "-ln", "/etc/text", "/etc/bytes", "/bin/tool"], user="0").output
    listing = shown.decode()
    assert {line.split()[-1]: line[:10] for line in listing.splitlines()} == {
        "/etc/text": "-r--r-----", "/etc/bytes": "-rw-r--r--", "/bin/tool": "-rwxr--r--",
    }  # fmt: skip
    assert container.exec_run(["cat", "/etc/text"], user="0").output == "héllo\n".encode()
    assert container.exec_run(["cat", "/etc/bytes"], user="0").output == b"\0\xff"

    assert made.id == container.id
    assert made.outputs["networkDatas"][0]["ipAddress"] == "10.231.8.50"
    assert provider.diff(made, given).changed == set(), "a second up changes nothing"
    assert provider.refresh(made) == made, "a refresh finds nothing"
    provider.delete(made)
    assert provider.refresh(made) is None


def test_order_counts_in_a_command_only(provider: Provider, name: str) -> None:
    given = simple(name, envs=["A=1", "B=2"], labels=[{"label": "a", "value": "1"}, {"label": "b", "value": "2"}])
    made = provider.create("Container", given)
    turned = {**given, "envs": ["B=2", "A=1"], "labels": given["labels"][::-1]}
    assert provider.diff(made, turned).changed == set()
    assert provider.diff(made, {**given, "command": FOREVER[::-1]}).replacing == {"command"}


def test_most_changes_replace_and_limits_are_changed_in_place(
    provider: Provider, real: docker.DockerClient, name: str
) -> None:
    given = simple(name, memory=64, memorySwap=64, restart="no")
    made = provider.create("Container", given)
    assert provider.diff(made, {**given, "envs": ["A=1"]}) == Difference({"envs"}, {"envs"}, True)
    changed = {**given, "memory": 96, "memorySwap": 128, "restart": "unless-stopped", "cpuShares": 256}
    assert provider.diff(made, changed) == Difference({"memory", "memorySwap", "restart", "cpuShares"}, set(), False)
    updated = provider.update(made, changed)
    container = real.containers.get(name)
    host = container.attrs["HostConfig"]
    assert container.id == made.id
    assert (host["Memory"] >> 20, host["MemorySwap"] >> 20, host["CpuShares"]) == (96, 128, 256)
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert provider.diff(updated, changed).changed == set()
    assert provider.refresh(updated) == updated


def test_changed_healthcheck_is_reported_as_updated_and_is_not(
    provider: Provider, real: docker.DockerClient, name: str
) -> None:
    given = simple(name, healthcheck=HEALTHY)
    made = provider.create("Container", given)
    changed = {**given, "healthcheck": {**HEALTHY, "tests": ["CMD", "false"]}}
    assert provider.diff(made, changed) == Difference({"healthcheck"}, set(), False)
    updated = provider.update(made, changed)
    assert real.containers.get(name).attrs["Config"]["Healthcheck"]["Test"] == ["CMD", "true"]
    assert provider.diff(updated, changed).changed == set()
    # Only a refresh tells.
    refreshed = provider.refresh(updated)
    assert refreshed
    assert provider.diff(refreshed, changed).changed == {"healthcheck"}


def test_limit_changed_by_hand_is_seen_by_refresh(provider: Provider, real: docker.DockerClient, name: str) -> None:
    given = simple(name, memory=64, memorySwap=64)
    made = provider.create("Container", given)
    real.containers.get(name).update(mem_limit=128 << 20, memswap_limit=128 << 20, restart_policy={"Name": "always"})
    assert provider.diff(made, given).changed == set(), "nothing is asked of the engine without a refresh"
    refreshed = provider.refresh(made)
    assert refreshed
    assert provider.diff(refreshed, given) == Difference({"memory", "memorySwap", "restart"}, set(), False)
    provider.update(refreshed, given)
    assert real.containers.get(name).attrs["HostConfig"]["Memory"] >> 20 == 64


def test_stopped_by_hand_is_replaced_if_it_has_ports_and_else_started(
    provider: Provider, real: docker.DockerClient, name: str
) -> None:
    plainly = simple(f"{name}-plain")
    ported = simple(f"{name}-ported", ports=[{"internal": 80, "external": free_port(), "ip": "127.0.0.1"}])
    for given, expected in (
        (plainly, Difference({"mustRun"}, set(), False)),
        (ported, Difference({"mustRun", "ports"}, {"ports"}, True)),
    ):
        made = provider.create("Container", given)
        real.containers.get(made.id).kill()
        refreshed = provider.refresh(made)
        assert refreshed
        assert refreshed.outputs["exitCode"] == 137
        assert provider.diff(refreshed, given) == expected
        started = provider.update(refreshed, given)
        assert real.containers.get(made.id).status == "running"
        assert provider.refresh(started) == started


def test_removed_by_hand_is_gone_at_refresh(provider: Provider, real: docker.DockerClient, name: str) -> None:
    made = provider.create("Container", simple(name))
    real.containers.get(name).remove(force=True)
    assert provider.diff(made, simple(name)).changed == set()
    assert provider.refresh(made) is None
    provider.delete(made)


def test_container_that_never_gets_healthy_is_remembered_and_replaced(
    provider: Provider, real: docker.DockerClient, name: str
) -> None:
    sick = {"tests": ["CMD", "false"], "interval": "0.2s", "retries": 1}
    given = simple(name, healthcheck=sick, wait=True, waitTimeout=1)
    with pytest.raises(HalfMadeError, match="container failed to be in healthy state") as failed:
        provider.create("Container", given)
    half = failed.value.resource
    assert real.containers.get(name).id == half.id, "it is left running, for whoever looks why"
    assert provider.diff(half, given).replacing == {"name"}, "also with nothing changed"
    refreshed = provider.refresh(half)
    assert refreshed
    mended = provider.diff(refreshed, {**given, "healthcheck": HEALTHY})
    assert mended.delete_first
    assert {"name", "healthcheck"} <= mended.replacing
    provider.delete(half)
    provider.create("Container", {**given, "healthcheck": HEALTHY})


def test_waiting_without_a_healthcheck_fails(provider: Provider, name: str) -> None:
    with pytest.raises(HalfMadeError, match="does not have a healthcheck defined"):
        provider.create("Container", simple(name, wait=True))


def test_interrupt_ends_the_wait_and_remembers_the_container(real: docker.DockerClient, name: str) -> None:
    interrupted = Provider()
    try:
        given = simple(name, healthcheck={"tests": ["CMD", "false"]}, wait=True, waitTimeout=60)
        threading.Timer(1, lambda: interrupted.stub.Cancel(empty_pb2.Empty())).start()
        began = time.monotonic()
        with pytest.raises(HalfMadeError) as failed:
            interrupted.create("Container", given)
        assert time.monotonic() - began < 30, "it did not sit out the wait"
        assert failed.value.resource.id == real.containers.get(name).id
    finally:
        interrupted.close()


def test_taken_port_leaves_a_container_that_is_replaced(
    provider: Provider, real: docker.DockerClient, name: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        given = simple(name, ports=[{"internal": 80, "external": taken.getsockname()[1], "ip": "127.0.0.1"}])
        with pytest.raises(HalfMadeError, match=r"Unable to start container: .*address already in use") as failed:
            provider.create("Container", given)
    assert real.containers.get(name).status == "created"
    difference = provider.diff(failed.value.resource, given)
    assert difference.delete_first
    assert "name" in difference.replacing


def test_taken_name_makes_nothing(provider: Provider, name: str) -> None:
    provider.create("Container", simple(name))
    with pytest.raises(grpc.RpcError, match=r"Conflict\. The container name"):
        provider.create("Container", simple(name))


def test_container_of_an_image_that_cannot_be_pulled_makes_nothing(
    provider: Provider, real: docker.DockerClient, name: str
) -> None:
    missing = f"127.0.0.1:{free_port()}/nothing:1"
    with pytest.raises(grpc.RpcError, match=f"Unable to create container with image {missing}: unable to pull image"):
        provider.create("Container", simple(name, image=missing))
    assert not real.containers.list(all=True, filters={"name": name})


@pytest.mark.parametrize(("grace", "left"), [(10, True), (None, False)])
def test_unset_grace_kills_at_once(
    provider: Provider, name: str, tmp_path: Path, grace: int | None, left: bool
) -> None:
    script = "trap 'sleep 0.5; touch /host/bye; exit 0' TERM; touch /host/up; while :; do sleep 0.1; done"
    given = simple(
        name, command=["sh", "-c", script], volumes=[{"hostPath": str(tmp_path), "containerPath": "/host"}],
        **({"destroyGraceSeconds": grace} if grace else {}),
    )  # fmt: skip
    made = provider.create("Container", given)
    while not (tmp_path / "up").exists():
        time.sleep(0.05)
    provider.delete(made)
    assert (tmp_path / "bye").exists() == left


def test_job_gives_its_exit_code_and_log_and_settles(provider: Provider, name: str) -> None:
    given = simple(
        name, command=["sh", "-c", "echo out; sleep 0.3; echo err >&2; exit 3"],
        attach=True, logs=True, mustRun=False, restart="no",
    )  # fmt: skip
    made = provider.create("Container", given)
    assert made.outputs["exitCode"] == 3
    assert sorted(made.outputs["containerLogs"].split()) == ["err", "out"]
    assert provider.diff(made, given).changed == set()
    assert provider.refresh(made) == made
    assert provider.diff(made, {**given, "command": ["true"]}).replacing == {"command"}
    provider.delete(made)
