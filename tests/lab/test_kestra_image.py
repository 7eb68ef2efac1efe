"""The lab's Kestra as a container, driven with Kestra's own client."""

import base64
import json
import subprocess
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import docker
import docker.errors
import httpx
import pytest
from docker.models.containers import Container

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # kestrapy's models shadow two names of pydantic
    import kestrapy
    from kestrapy.exceptions import ConflictException, NotFoundException, UnauthorizedException
    from kestrapy.exceptions import UnprocessableEntityException as Invalid

USER, PASSWORD = "admin@lab.test", "Lab-pass1"
NS = "lab.test"
COMMAND = ("server", "standalone")
HOOK = "/api/v1/main/executions/webhook"
CONFIGURATION = f"""
datasources:
  postgres:
    url: jdbc:postgresql://postgres:5432/kestra
    driver-class-name: org.postgresql.Driver
    username: kestra
    password: database-password
    maximum-pool-size: 20
kestra:
  url: https://kestra.example.test
  repository: {{type: postgres}}
  queue: {{type: postgres}}
  storage: {{type: local, local: {{base-path: /app/storage}}}}
  encryption: {{secret-key: I6EGNzRESu3X3pKZidrqCGOHQFUFC0yK}}
  server:
    termination-grace-period: 20s
    basic-auth:
      username: {USER}
      password: {PASSWORD}
      open-urls: [{HOOK}/]
  tasks: {{sdk: {{authentication: {{url: "http://localhost:8080"}}}}}}
  plugins:
    configurations:
      - type: io.kestra.plugin.fs.ssh.Command
        values: {{allow-open-ssh-config: true}}
  anonymous-usage-report: {{enabled: false}}
  ui-anonymous-usage-report: {{enabled: false}}
  tutorial-flows: {{enabled: false}}
"""


def eventually(what: str, probe: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Return the first true answer of `probe`."""
    end = time.monotonic() + seconds
    while True:
        try:
            if answer := probe():
                return answer
        except (httpx.TransportError, docker.errors.APIError):
            pass
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def address(container: Container) -> str:
    container.reload()
    networks = container.attrs["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["IPAddress"])


def inside(container: Container, *command: str) -> str:
    """Return what a command in the container prints."""
    output: Any = container.exec_run(list(command)).output
    return str(output.decode()).strip()


def healthy(container: Container) -> bool:
    return httpx.get(f"http://{address(container)}:8081/health", timeout=10).status_code == 200


@dataclass(frozen=True)
class Lab:
    """A network of one test run, and how to start things on it as the estate does."""

    engine: docker.DockerClient
    name: str
    directory: Path

    def kestra(
        self, name: str, configuration: str = CONFIGURATION, *, volume: str = "", command: Sequence[str] = COMMAND
    ) -> Container:
        confs = self.directory / name
        confs.mkdir(exist_ok=True)
        (confs / "application.yml").write_text(configuration)
        return self.engine.containers.run(
            "carica-lab/kestra",
            list(command),
            detach=True,
            name=f"{self.name}-{name}",
            network=self.name,
            user="kestra",
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mem_limit="1g",
            environment={
                "JAVA_OPTS": "-Xmx512m",
                "SECRET_HOOK_KEY": base64.b64encode(b"hook-key").decode(),
                "SECRET_SSH_KEY": base64.b64encode((self.directory / "ssh/id").read_bytes()).decode(),
                "ENV_GITHUB_TOKEN": "token-of-env",
            },
            volumes={
                volume or f"{self.name}-storage": {"bind": "/app/storage", "mode": "rw"},
                str(confs): {"bind": "/app/confs", "mode": "ro"},
                str(self.directory / "ssh"): {"bind": "/app/ssh", "mode": "ro"},
            },
        )

    def owned_volume(self, name: str) -> str:
        """Return a new volume that Kestra's user may write to; the image has no such directory, as the official one."""
        self.engine.volumes.create(name)
        self.engine.containers.run(
            "carica-lab/kestra",
            ["chown kestra: /app/storage"],
            entrypoint=["sh", "-c"],
            user="root",
            remove=True,
            volumes={name: {"bind": "/app/storage", "mode": "rw"}},
        )
        return name

    def refusal(self, configuration: str, command: Sequence[str] = COMMAND) -> str:
        """Return the log of a server that must not start."""
        volume = self.owned_volume(f"{self.name}-{uuid.uuid4().hex[:8]}")
        server = self.kestra("refused", configuration, volume=volume, command=command)
        try:
            assert server.wait(timeout=90)["StatusCode"] != 0
            return server.logs().decode()
        finally:
            server.remove(force=True)


@dataclass(frozen=True)
class Desk:
    """A running Kestra and clients to it."""

    lab: Lab
    container: Container

    @property
    def client(self) -> Any:
        return self.log_in(PASSWORD)

    def log_in(self, password: str) -> Any:
        client: Any = kestrapy.KestraClient
        return client(host=self.url, username=USER, password=password, timeout=60)

    @property
    def url(self) -> str:
        return f"http://{address(self.container)}:8080"

    def save(self, source: str) -> Any:
        return self.client.flows.create_flow("main", source)

    def flow(self, name: str, tasks: str, more: str = "") -> str:
        source = f"id: {name}\nnamespace: {NS}\n{more}\ntasks:\n{tasks}"
        self.save(source)
        return name

    def run(self, name: str, inputs: dict[str, Any] | None = None) -> Any:
        return self.client.executions.create_execution("main", NS, name, wait=True, inputs=inputs)

    def state(self, execution: str) -> str:
        return str(self.client.executions.execution(execution, "main").state.current.value)

    def ended(self, execution: str) -> str:
        ends = ("SUCCESS", "FAILED", "WARNING", "KILLED", "CANCELLED")
        return (
            eventually("execution ended", lambda: (state := self.state(execution)) in ends and state, seconds=120) or ""
        )

    def log(self, execution: str) -> str:
        """Return the messages of an execution; the indexer writes them a moment after its end."""
        return "\n".join(
            eventually("log", lambda: [e.message for e in self.client.logs.list_logs_from_execution(execution, "main")])
        )


@pytest.fixture(scope="module")
def lab(references: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    engine = docker.from_env()
    directory = tmp_path_factory.mktemp("kestra")
    # Kestra's user reads the files below it; pytest keeps its directories to itself.
    directory.chmod(0o755)
    directory.parent.chmod(0o755)
    directory.parent.parent.chmod(0o755)
    ssh = directory / "ssh"
    ssh.mkdir()
    for key in ("id", "host", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / key], check=True)
        (ssh / key).chmod(0o644)
    lab = Lab(engine, f"kestra-test-{uuid.uuid4().hex[:8]}", directory)
    network = engine.networks.create(lab.name)
    engine.containers.run(
        "carica-lab/postgres",
        detach=True,
        name=f"{lab.name}-postgres",
        user="postgres",
        network=lab.name,
        environment={"POSTGRES_USER": "kestra", "POSTGRES_PASSWORD": "database-password", "POSTGRES_DB": "kestra"},
    )
    network.disconnect(f"{lab.name}-postgres")
    network.connect(f"{lab.name}-postgres", aliases=["postgres"])
    lab.owned_volume(f"{lab.name}-storage")
    try:
        yield lab
    finally:
        for container in engine.containers.list(all=True, filters={"name": lab.name}):
            container.remove(force=True, v=True)
        for volume in engine.volumes.list(filters={"name": lab.name}):
            volume.remove()
        network.remove()


@pytest.fixture(scope="module")
def desk(lab: Lab) -> Desk:
    container = lab.kestra("kestra")
    try:
        eventually("healthy", lambda: healthy(container), seconds=90)
    except AssertionError as error:
        raise AssertionError(container.logs().decode()) from error
    return Desk(lab, container)


def test_a_configuration_it_does_not_honour_is_refused(lab: Lab) -> None:
    log = lab.refusal(
        CONFIGURATION.replace("type: local", "type: s3")
        .replace(USER, "admin")
        .replace(PASSWORD, "weak")
        .replace("  url: https", "  ee: {license: x}\n  url: https")
    )
    for part in ("kestra.storage.type", "not an e-mail address", "upper case", "kestra.ee.license: not honoured"):
        assert part in log
    assert "weak" not in log


def test_a_refused_database_login_ends_the_server(lab: Lab) -> None:
    log = lab.refusal(CONFIGURATION.replace("database-password", "another-password"))
    assert "password authentication failed" in log
    assert "another-password" not in log


def test_other_commands_are_refused(lab: Lab) -> None:
    assert "knows the command `server standalone" in lab.refusal(CONFIGURATION, ["flow", "validate"])


def test_the_management_port(desk: Desk) -> None:
    base = f"http://{address(desk.container)}:8081"
    for path in ("/health", "/health/liveness", "/health/readiness"):
        assert httpx.get(base + path).json() == {"status": "UP"}
    assert "jvm_memory_used_bytes" in httpx.get(f"{base}/prometheus").text
    assert httpx.get(f"{desk.url}/health").status_code == 404
    assert httpx.patch(f"{desk.url}/api/v1/main/flows/a/b", auth=(USER, PASSWORD)).status_code == 405
    assert httpx.get(f"{desk.url}/ping").text == "pong"


def test_everything_but_webhooks_wants_the_login(desk: Desk) -> None:
    for path in ("/api/v1/main/flows/search", "/api/v1/configs", "/api/v1/main/flows/configs", "/", "/ui/main/flows"):
        answer = httpx.get(desk.url + path)
        assert (answer.status_code, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert httpx.get(f"{desk.url}/api/v1/configs/login").json() == {"isBasicAuthInitialized": True}
    assert "the lab's front" in httpx.get(desk.url, auth=(USER, PASSWORD)).text
    wrong = desk.log_in("Wrong-pass1")
    with pytest.raises(UnauthorizedException):
        wrong.flows.search_flows("main")


def test_a_flow_is_created_read_updated_and_deleted(desk: Desk) -> None:
    flows = desk.client.flows
    first = f"id: life\nnamespace: {NS}\ntasks:\n- {{id: a, type: io.kestra.plugin.core.log.Log, message: one}}\n"
    assert desk.save(first).revision == 1
    with pytest.raises(ConflictException):
        desk.save(first)
    assert flows.update_flow(NS, "life", "main", first.replace("one", "two")).revision == 2
    read = flows.flow(NS, "life", "main", source=True)
    assert read.source == first.replace("one", "two")
    assert flows.flow(NS, "life", "main").source is None
    assert flows.flow(NS, "life", "main", source=True, revision=1).source == first
    assert [it.revision for it in flows.list_flow_revisions(NS, "life", "main")] == [1, 2]
    assert "life" in [it.id for it in flows.list_flows_by_namespace(NS, "main")]
    assert flows.search_flows("main", filters=[{"field": "namespace", "operation": "EQUALS", "value": NS}]).total >= 1
    flows.delete_flow(NS, "life", "main")
    for call in (flows.flow, flows.delete_flow):
        with pytest.raises(NotFoundException):
            call(NS, "life", "main")
    with pytest.raises(NotFoundException):
        flows.update_flow(NS, "life", "main", first)


def test_an_invalid_flow_is_refused_with_kestras_violations(desk: Desk) -> None:
    bad = f"id: bad\nnamespace: {NS}\ntasks:\n- {{id: a, type: io.kestra.plugin.core.log.Log, massage: hi}}\n"
    with pytest.raises(Invalid) as refused:
        desk.save(bad)
    answer = json.loads(refused.value.body or "")
    assert 'Unrecognized field "massage"' in answer["message"]
    assert answer["_embedded"]["errors"]
    good = bad.replace("massage", "message")
    found = desk.client.flows.validate_flows("main", f"{good}---\n{bad}")
    assert [bool(it.constraints) for it in found] == [False, True]


@pytest.mark.parametrize("missing", ["targetNamespace", "host", "commands"])
def test_the_stand_in_tasks_are_validated(desk: Desk, missing: str) -> None:
    task: dict[str, Any] = {
        "id": "a",
        "type": "io.kestra.plugin.git.SyncFlows",
        "url": "http://git.test/x",
        "targetNamespace": "x",
    }
    if missing != "targetNamespace":
        task = {"id": "a", "type": "io.kestra.plugin.fs.ssh.Command", "host": "h", "commands": ["true"]}
    good = json.dumps({"id": "x", "namespace": NS, "tasks": [task]})
    unknown = json.dumps({"id": "x", "namespace": NS, "tasks": [{**task, "hots": "h"}]})
    del task[missing]
    bad = json.dumps({"id": "x", "namespace": NS, "tasks": [task]})
    assert [it.constraints for it in desk.client.flows.validate_flows("main", good)] == [None]
    assert missing in desk.client.flows.validate_flows("main", bad)[0].constraints
    assert "hots" in desk.client.flows.validate_flows("main", unknown)[0].constraints


def test_a_namespace_is_replaced_in_one_call(desk: Desk) -> None:
    def source(name: str) -> str:
        return (
            f"id: {name}\nnamespace: lab.bulk\ntasks:\n- {{id: a, type: io.kestra.plugin.core.log.Log, message: x}}\n"
        )

    flows = desk.client.flows
    bulk = {"namespace": "lab.bulk", "delete": True}
    flows.bulk_update_flows("main", **bulk, body=f"{source('one')}---\n{source('two')}")
    flows.bulk_update_flows("main", **bulk, body=f"{source('two')}---\n{source('three')}")
    assert sorted(it.id for it in flows.list_flows_by_namespace("lab.bulk", "main")) == ["three", "two"]


def test_inputs_outputs_secrets_and_variables(desk: Desk) -> None:
    flow = desk.flow(
        "values",
        "- id: a\n  type: io.kestra.plugin.core.log.Log\n"
        "  message: \"{{ secret('HOOK_KEY') == 'hook-key' }} {{ envs.github_token }} {{ inputs.who }}\"\n",
        'inputs: [{id: who, type: STRING}]\noutputs: [{id: out, type: STRING, value: "{{ inputs.who }}"}]',
    )
    done = desk.run(flow, {"who": "me"})
    assert done.state.current.value == "SUCCESS"
    assert desk.log(done.id) == "true token-of-env me"
    assert desk.client.outputs.execution_outputs(done.id, "main") == {"out": "me"}


def test_core_tasks_retry_and_fail_as_the_engine_does(desk: Desk) -> None:
    flow = desk.flow(
        "fails",
        "- id: a\n  type: io.kestra.plugin.core.execution.Fail\n"
        "  retry: {type: constant, interval: PT0.1S, maxAttempts: 2}\n",
    )
    done = desk.run(flow)
    assert done.state.current.value == "FAILED"
    assert len(desk.client.executions.execution(done.id, "main").task_run_list[0].attempts) == 2


def test_webhooks_answer_as_kestra_does_and_queue(desk: Desk) -> None:
    desk.flow(
        "hook",
        "- id: a\n  type: io.kestra.plugin.core.log.Log\n"
        "  message: \"{{ trigger.body.ref }} {{ trigger.headers['x-who'][0] }}\"\n"
        "- {id: b, type: io.kestra.plugin.core.flow.Sleep, duration: PT1S}\n",
        "concurrency: {behavior: QUEUE, limit: 1}\n"
        "triggers:\n- id: h\n  type: io.kestra.plugin.core.trigger.Webhook\n  key: \"{{ secret('HOOK_KEY') }}\"\n"
        "  when: \"{{ (trigger.body.ref ?? '') == 'refs/heads/main' }}\"\n",
    )

    def call(path: str, ref: str = "refs/heads/main", method: str = "POST") -> httpx.Response:
        return httpx.request(method, desk.url + path, json={"ref": ref}, headers={"x-who": "me"})

    right = f"{HOOK}/{NS}/hook/hook-key"
    assert call(right, "refs/heads/other").status_code == 204
    assert call(right, method="GET").status_code == 204  # a GET has no body, so nothing matches
    assert call(f"{HOOK}/{NS}/hook/wrong").status_code == 404
    assert call(f"{HOOK}/{NS}/none/hook-key").status_code == 404
    assert call(f"{right}/more").status_code == 404
    assert call(right.replace("/main", "")).status_code == 401  # not among open-urls
    ids = [call(right).json()["id"] for _ in range(2)] + [call(right, method="PUT").json()["id"]]
    assert [desk.ended(it) for it in ids] == ["SUCCESS"] * 3
    runs = [desk.client.executions.execution(it, "main").state for it in ids]
    running = sorted((next(h.var_date for h in s.histories if h.state.value == "RUNNING"), s.end_date) for s in runs)
    assert all(before[1] <= after[0] for before, after in pairwise(running))
    assert "refs/heads/main me" in desk.log(ids[0])
    found = desk.client.executions.search_executions(
        "main", filters=[{"field": "flowId", "operation": "EQUALS", "value": "hook"}]
    )
    assert found["total"] == 3
    plain = httpx.get(
        f"{desk.url}/api/v1/main/executions/search", params={"namespace": NS, "flowId": "hook"}, auth=(USER, PASSWORD)
    )
    assert plain.json()["total"] == 3


def test_ssh_pins_the_host_key(desk: Desk) -> None:
    lab = desk.lab
    ssh = lab.directory / "ssh"
    host = lab.engine.containers.run(
        "carica-lab/deploy-host",
        detach=True,
        name=f"{lab.name}-deploy",
        network=lab.name,
        hostname="deploy",
        environment={
            "ADMIN_AUTHORIZED_KEY": (ssh / "id.pub").read_text(),
            "SSH_HOST_KEY": (ssh / "host").read_text(),
        },
    )
    there = address(host)
    keys = eventually(
        "sshd",
        lambda: subprocess.run(
            ["ssh-keyscan", "-t", "ed25519", there], capture_output=True, text=True, check=False
        ).stdout.strip(),
    )
    for name, known in (("right", keys), ("wrong", f"{there} {(ssh / 'other.pub').read_text()}"), ("none", "")):
        (ssh / f"known_{name}").write_text(f"{known}\n")
        (ssh / f"config_{name}").write_text(
            "Host *\n  IdentityFile /app/ssh/id\n  StrictHostKeyChecking yes\n"
            f"  UserKnownHostsFile /app/ssh/known_{name}\n"
        )

    def command(name: str, login: str) -> str:
        return desk.flow(
            name,
            f"- id: a\n  type: io.kestra.plugin.fs.ssh.Command\n  host: {there}\n  username: root\n  {login}\n"
            '  commands: [\'echo over $(id -un)\', "echo \'::{\\"outputs\\":{\\"answer\\":\\"42\\"}}::\'"]\n'
            "- {id: b, type: io.kestra.plugin.core.log.Log, message: 'vars {{ outputs.a.vars.answer }}'}\n",
        )

    pinned = 'authMethod: OPEN_SSH\n  strictHostKeyChecking: "yes"\n  openSSHConfigDir: /app/ssh/config_'
    done = desk.run(command("ssh-right", f"{pinned}right"))
    assert done.state.current.value == "SUCCESS", desk.log(done.id)
    assert {"over root", "vars 42"} <= set(desk.log(done.id).splitlines())
    for name, says in (("wrong", "HostKey has been changed"), ("none", "reject HostKey")):
        done = desk.run(command(f"ssh-{name}", f"{pinned}{name}"))
        assert done.state.current.value == "FAILED"
        assert says in desk.log(done.id)
    done = desk.run(command("ssh-key", "authMethod: PUBLIC_KEY\n  privateKey: \"{{ secret('SSH_KEY') }}\""))
    assert done.state.current.value == "SUCCESS", desk.log(done.id)


def test_git_tasks_bring_flows_and_push_them(desk: Desk) -> None:
    lab = desk.lab
    source = "id: from-git\nnamespace: somewhere\ntasks:\n- {id: a, type: io.kestra.plugin.core.log.Log, message: x}\n"
    served = """
        set -e
        mkdir /srv/served && cd /srv/served && git init -q -b main --bare desk.git
        git clone -q desk.git work && mkdir work/flows && printf %s "$SOURCE" > work/flows/from-git.yaml
        git -C work add . && git -C work -c user.name=a -c user.email=a@b.c commit -qm one
        git -C work push -q origin HEAD:main
        exec git daemon --reuseaddr --export-all --enable=receive-pack --base-path=/srv/served"""
    git = lab.engine.containers.run(
        "carica-lab/deploy-host",
        ["sh", "-c", served],
        detach=True,
        name=f"{lab.name}-git",
        network=lab.name,
        environment={"SOURCE": source},
    )
    url = f"git://{address(git)}/desk.git"
    old = "id: {}\nnamespace: lab.synced\ntasks:\n- {{id: a, type: io.kestra.plugin.core.log.Log, message: x}}\n"
    desk.save(old.format("stale"))
    desk.save(old.format("from-git").replace("message: x", "message: old"))
    sync = desk.flow(
        "sync",
        f"- id: a\n  type: io.kestra.plugin.git.SyncFlows\n  url: {url}\n  branch: main\n  gitDirectory: flows\n"
        "  targetNamespace: lab.synced\n  delete: true\n",
    )
    eventually("git", lambda: "refs/heads/main" in inside(git, "git", "ls-remote", "git://localhost/desk.git"))
    done = desk.run(sync)
    assert done.state.current.value == "SUCCESS", desk.log(done.id)
    assert [it.id for it in desk.client.flows.list_flows_by_namespace("lab.synced", "main")] == ["from-git"]
    assert desk.client.flows.flow("lab.synced", "from-git", "main").revision == 2
    push = desk.flow(
        "push",
        f"- id: a\n  type: io.kestra.plugin.git.PushFlows\n  url: {url}\n  branch: edited\n  gitDirectory: flows\n"
        "  sourceNamespace: lab.synced\n  commitMessage: from Kestra\n"
        "  authorName: Desk\n  authorEmail: desk@lab.test\n",
    )
    done = desk.run(push)
    assert done.state.current.value == "SUCCESS", desk.log(done.id)
    repository = ["git", "-C", "/srv/served/desk.git"]
    shown = inside(git, *repository, "log", "--format=%an|%s", "--name-status", "-1", "edited")
    assert shown.splitlines()[0] == "Desk|from Kestra"
    assert "A\tflows/from-git.yml" in shown


def test_the_database_comes_and_goes(desk: Desk) -> None:
    database = desk.lab.engine.containers.get(f"{desk.lab.name}-postgres")
    beat = "psql -U kestra -d kestra -tAc \"select flows > 0 and seen > now() - interval '10 s' from lab_kestra\""
    assert eventually("heartbeat", lambda: inside(database, "sh", "-c", beat) == "t")
    database.stop(timeout=10)
    assert eventually("unhealthy", lambda: not healthy(desk.container))
    assert httpx.get(f"{desk.url}/api/v1/main/flows/search", auth=(USER, PASSWORD)).status_code == 500
    database.start()
    assert eventually("healthy again", lambda: healthy(desk.container))
    assert desk.client.flows.search_flows("main").total > 0


def test_flows_and_executions_survive_restart_and_replacement(desk: Desk) -> None:
    flow = desk.flow("slow", "- {id: a, type: io.kestra.plugin.core.flow.Sleep, duration: PT5S}\n")
    done = desk.run("values", {"who": "me"}).id
    running = desk.client.executions.create_execution("main", NS, flow).id
    eventually("running", lambda: desk.state(running) == "RUNNING")
    desk.container.stop(timeout=60)
    desk.container.reload()
    assert desk.container.attrs["State"]["ExitCode"] == 143  # ended by itself on SIGTERM
    desk.container.start()
    eventually("healthy", lambda: healthy(desk.container), seconds=90)
    assert desk.state(done) == "SUCCESS"
    assert desk.ended(running) == "SUCCESS"
    desk.container.stop(timeout=60)
    after = replace(desk, container=desk.lab.kestra("replaced"))
    eventually("healthy", lambda: healthy(after.container), seconds=90)
    assert after.state(done) == "SUCCESS"
    assert after.client.flows.flow(NS, "values", "main").revision == 1
    assert after.run("values", {"who": "you"}).state.current.value == "SUCCESS"
    after.container.stop(timeout=60)
    desk.container.start()
    eventually("healthy", lambda: healthy(desk.container), seconds=90)


def test_the_configuration_may_come_in_the_environment(lab: Lab, desk: Desk) -> None:
    server = lab.engine.containers.run(
        "carica-lab/kestra",
        list(COMMAND),
        detach=True,
        name=f"{lab.name}-environment",
        network=lab.name,
        environment={"KESTRA_CONFIGURATION": CONFIGURATION},
        volumes={lab.owned_volume(f"{lab.name}-other"): {"bind": "/app/storage", "mode": "rw"}},
    )
    eventually("healthy", lambda: healthy(server), seconds=90)
