"""Which Pulumi is chosen, and what the lab's own parts of it do with a real program."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from lab import go, pulumi_plugins, refusals
from lab import toolchain as module
from lab.pulumi_plugins import VERSIONS
from lab.shell import LabError
from lab.toolchain import VERSION, toolchain
from tests.estate import eventually
from tests.trial import VENV, Project

PROGRAM = """
import pulumi
import pulumi.dynamic
import pulumi_command as command

class Greeting(pulumi.dynamic.ResourceProvider):
    def create(self, props):
        return pulumi.dynamic.CreateResult("1", {"text": "hello " + props["to"]})

class Greeted(pulumi.dynamic.Resource):
    text: pulumi.Output[str]
    def __init__(self, name, to):
        super().__init__(Greeting(), name, {"to": to, "text": None})

password = pulumi.Config().require_secret("password")
said = command.local.Command("said", create="echo out; echo err >&2; cat", stdin=password, triggers=[1])
greeted = Greeted("greeted", "you")
pulumi.export("stdout", said.stdout)
pulumi.export("text", greeted.text)
pulumi.export("stack", pulumi.get_stack())
print("the program says", pulumi.Config().require("password"))
"""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return toolchain().environment


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str]) -> Project:
    made = Project(tmp_path, environment)
    assert made.pulumi("config", "set", "--secret", "password", stdin="top-secret")[0] == 0
    return made


# --- a program ---


def test_a_program_with_a_plugin_and_a_dynamic_provider(project: Project) -> None:
    project.program(PROGRAM)
    code, shown = project.pulumi("preview")
    assert code == 0, shown
    assert "warning" not in shown
    assert "the program says [secret]" in shown
    shown = project.up()
    assert "warning" not in shown
    assert "the program says [secret]" in shown
    assert "top-secret" not in shown
    project.expect_no_changes()
    code, shown = project.pulumi("stack", "output", "--json")
    assert '"stack": "only"' in shown
    assert '"text": "hello you"' in shown

    code, shown = project.pulumi("plugin", "ls")
    assert code == 0
    assert [line.split()[:3] for line in shown.splitlines() if " resource " in line] == [
        [name, "resource", version] for name, version in sorted(VERSIONS.items())
    ]
    code, shown = project.pulumi("about")
    assert code == 0
    assert f"version='{sys.version.split()[0]}'" in shown
    assert "pulumi_command" in shown or "pulumi-command" in shown
    assert "Method not implemented" not in shown

    code, shown = project.pulumi("destroy", "--yes", "--skip-preview")
    assert code == 0, shown


def test_a_program_that_fails_is_told_once(project: Project) -> None:
    project.program("raise ValueError('what is wrong')")
    code, shown = project.pulumi("preview")
    assert code != 0
    assert "ValueError: what is wrong" in shown
    assert "language_host.py" not in shown
    project.program("import sys; sys.exit(7)")
    code, shown = project.pulumi("preview")
    assert code != 0
    assert "exit code 7" in shown or "code: 7" in shown


def test_a_missing_environment_is_named(project: Project) -> None:
    project.program(PROGRAM)
    (project.directory / ".venv").unlink()
    code, shown = project.pulumi("preview")
    assert code != 0
    assert ".venv" in shown


def test_an_interrupt_ends_a_program_quietly(project: Project) -> None:
    project.program("import time, pulumi\nprint('started', flush=True)\ntime.sleep(300)")
    process = project.start("preview")
    assert process.stdout
    for line in process.stdout:
        if "started" in line:
            break
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Traceback" not in shown


def test_what_a_killed_cli_has_started_ends_by_itself(project: Project) -> None:
    project.program(
        "import os\nimport pulumi_command\nprint('process', os.getppid())\n"
        "pulumi_command.local.Command('waits', create='echo process $PPID; echo process $$; sleep 300')\n"
    )
    cli = project.start("up", "--yes", "--skip-preview")
    assert cli.stdout
    started: set[int] = set()
    for line in cli.stdout:
        started |= {int(word) for word in re.findall(r"process (\d+)", line)}
        if len(started) == 3:
            break
    assert all(Path(f"/proc/{each}").exists() for each in started)
    cli.kill()
    cli.communicate()
    eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in started))


# --- the lab's Python host ---


class Host:
    """The host's process, and the engine's side of the conversation."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, module.SOURCES / "language_host.py", "127.0.0.1:1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip
        assert self.process.stdout
        port = self.process.stdout.readline().strip()
        self.stub = language_pb2_grpc.LanguageRuntimeStub(grpc.insecure_channel(f"127.0.0.1:{port}"))

    def info(self, directory: Path, **options: str) -> language_pb2.ProgramInfo:
        chosen = json_format.ParseDict(options, struct_pb2.Struct())
        return language_pb2.ProgramInfo(
            root_directory=str(directory), program_directory=str(directory), entry_point=".", options=chosen
        )


@pytest.fixture
def host(environment: dict[str, str]) -> Iterator[Host]:
    running = Host(environment)
    yield running
    running.process.terminate()
    _, errors = running.process.communicate(timeout=10)
    assert errors == ""


def test_a_plugin_written_in_python(host: Host, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(
        "import os, sys\nprint(os.getcwd(), sys.argv[1:], os.environ['A'])\n"
        "print('err', file=sys.stderr)\nsys.exit(3)\n"
    )
    request = language_pb2.RunPluginRequest(
        info=host.info(tmp_path, virtualenv=str(VENV)), pwd="/", args=["engine"], env=["A=b=c"], kind="resource"
    )
    answers = list(host.stub.RunPlugin(request))
    assert b"".join(each.stdout for each in answers) == b"/ ['engine'] b=c\n"
    assert b"".join(each.stderr for each in answers) == b"err\n"
    assert answers[-1].exitcode == 3


def test_a_plugin_ends_with_its_call(host: Host, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(300)\n")
    call = host.stub.RunPlugin(language_pb2.RunPluginRequest(info=host.info(tmp_path, virtualenv=str(VENV)), pwd="/"))
    process = Path(f"/proc/{int(next(call).stdout)}")
    assert process.exists()
    call.cancel()
    end = time.monotonic() + 10
    while process.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_the_host_does_not_do_is_refused(host: Host, tmp_path: Path) -> None:
    def refusal(ask: Callable[[], object]) -> str:
        with pytest.raises(grpc.RpcError) as error:
            ask()
        return str(error.value.details())

    def about(**options: str) -> object:
        return host.stub.About(language_pb2.AboutRequest(info=host.info(tmp_path, **options)))

    assert "wants runtime.options.virtualenv" in refusal(about)
    assert f"there is no virtual environment {tmp_path}/none: run `make .venv`" in refusal(
        lambda: about(virtualenv="none")
    )
    assert "does not implement runtime.options: toolchain, typechecker" in refusal(
        lambda: about(virtualenv=str(VENV), toolchain="uv", typechecker="mypy")
    )
    assert "installs no packages: run `make .venv`" in refusal(
        lambda: list(host.stub.InstallDependencies(language_pb2.InstallDependenciesRequest()))
    )
    host.stub.Cancel(empty_pb2.Empty())


# --- what is chosen ---


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH but what a test puts into the directory, and an empty home and cache."""
    for name in ("bin", "home", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    monkeypatch.setenv("HOME", f"{tmp_path}/home")
    monkeypatch.setattr(pulumi_plugins, "HOME", tmp_path / "cache/pulumi")
    monkeypatch.setattr(refusals, "CACHE", tmp_path / "cache")
    return tmp_path


def put(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_an_installed_cli_wins_unless_it_is_too_old_or_has_no_host(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module._official() == ""
    put(machine, "pulumi", "echo v3.258.9")
    put(machine, "pulumi-language-python", "")
    assert module._official() == ""
    assert f"older than {VERSION}: not used" in capsys.readouterr().err
    put(machine, "pulumi", "echo v3.300.0")
    assert module._official() == "v3.300.0"
    (machine / "bin/pulumi-language-python").unlink()
    assert module._official() == ""
    assert "without pulumi-language-python" in capsys.readouterr().err


def test_plugins_come_from_the_user_or_a_download_or_the_lab(machine: Path, environment: dict[str, str]) -> None:
    put(machine, "pulumi-language-python", "")
    put(
        machine,
        "pulumi",
        f'[ "$1" = version ] && echo v{VERSION} && exit\necho "$*" >>{machine}/asked\n{machine}/install "$@"',
    )
    (machine / "install").write_text("#!/bin/sh\nexit 1\n")
    (machine / "install").chmod(0o755)

    def chosen() -> list[str]:
        return [line.partition(": ")[2].split(", as")[0] for line in toolchain().chosen[1:]]

    def asked() -> int:
        return len((machine / "asked").read_text().splitlines())

    lab = [
        "the lab's stand-in (lab/plugins/docker)",
        "the lab's stand-in (lab/plugins/command)",
        "Terraform's provider, bridged by the lab (lab/plugins/github)",
    ]
    assert chosen() == lab
    assert chosen() == lab
    assert asked() == 1  # the refusal is remembered, for all plugins
    command = machine / "cache/pulumi/plugins" / f"resource-command-v{VERSIONS['command']}/pulumi-resource-command"
    assert os.access(command, os.X_OK)

    users = machine / "home/.pulumi/plugins" / command.parent.name
    users.mkdir(parents=True)
    (users / command.name).touch()
    assert chosen() == [lab[0], "official, installed", lab[2]]
    assert command.resolve() == users / command.name
    (users / command.name).unlink()
    users.rmdir()
    assert chosen() == lab

    os.utime(machine / "cache/refused-plugins", (0, 0))
    (machine / "install").write_text(
        "#!/bin/sh\nd=$PULUMI_HOME/plugins/resource-$4-v$5\n"
        '/bin/mkdir -p "$d"\necho official >"$d/pulumi-resource-$4"\n'
    )
    assert chosen() == ["official, downloaded by the lab"] * 3
    assert asked() == 4
    assert chosen() == ["official, downloaded by the lab"] * 3
    assert asked() == 4


def test_the_cli_finds_an_installed_plugin(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    # What the lab lays for it are links, and the CLI is particular about those.
    users = tmp_path / "home/.pulumi/plugins" / f"resource-command-v{VERSIONS['command']}"
    shutil.copytree(pulumi_plugins.HOME / "plugins" / users.name, users)
    monkeypatch.setenv("HOME", f"{tmp_path}/home")
    monkeypatch.setattr(pulumi_plugins, "HOME", tmp_path / "pulumi")
    assert pulumi_plugins.plugin("command", environment) == "official, installed"
    project.environment["PULUMI_HOME"] = f"{tmp_path}/pulumi"
    project.program(PROGRAM)
    project.up()


def test_a_go_that_is_too_old_is_told_with_the_ways_out(machine: Path) -> None:
    def build() -> None:
        go.build("building pulumi", machine, "package", machine / "program")

    (machine / "go.mod").write_text("module any\n\ngo 1.26.3\n")
    with pytest.raises(LabError, match=r"building pulumi takes Go 1\.26; this machine has no such Go"):
        build()
    put(machine, "go", "echo go1.24.4")
    with pytest.raises(LabError, match=r"this machine has go1\.24\.4.*golang-1\.26-go.*GOTOOLCHAIN=go1\.26\.0\+auto"):
        build()
    put(machine, "go", "echo go1.26.8")
    build()
