"""DeployHost: what each server is told, that it holds no secret in the open, and what makes it deploy again."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.deploy_host import INSTALL, INSTALLED, PROGRAMS, SCRIPTS, DeployHost, DeployHostArgs
from components.settings import Server
from tests.unit.program import plain, program, public
from tests.unit.recording import Declared, declare
from tests.unit.valid import values


@pytest.fixture(scope="module")
def web() -> dict[str, dict[str, Any]]:
    return commands(program())


def host(**changed: Any) -> dict[str, Any]:
    return dict(json.loads(values()["deployHosts"])[0]) | changed


def commands(declared: list[Declared]) -> dict[str, dict[str, Any]]:
    return {each.name: plain(each) for each in declared if each.type == "command:remote:Command"}


def test_the_registrys_password_reaches_docker_by_its_standard_input_alone() -> None:
    declared = next(each for each in program() if each.name == "web-registry")
    given = plain(declared)
    assert given["stdin"] == "r" * 40
    assert given["create"].endswith("--username centaurin --password-stdin ghcr.io")
    assert "r" * 40 not in public(declared.inputs)


def test_the_log_in_belongs_to_the_account_that_deploys(web: dict[str, dict[str, Any]]) -> None:
    assert "runuser -u deploy -- docker --config /var/lib/carica/docker login" in web["web-registry"]["create"]


def test_a_server_without_a_registry_logs_in_nowhere() -> None:
    declared = commands(program(deployHosts=[host(registry=None)], registryPassword=None))
    assert "web-registry" not in declared


def test_the_environment_is_data_to_compose() -> None:
    declared = commands(program(deployHosts=[host(environment={"DOMAIN": "$HOME", "PORT": "80"})]))
    assert declared["web-environment"]["stdin"] == "DOMAIN='$HOME'\nPORT='80'\n"


def test_kestras_key_is_good_from_the_addresses_that_are_named() -> None:
    declared = commands(program(deployHosts=[host(kestraFrom=["203.0.113.7", "2001:db8::/32"])]))
    assert shlex.split(declared["web-account"]["create"])[-1] == "203.0.113.7/32,2001:db8::/32"


@pytest.mark.parametrize(
    ("changed", "deployed"),
    [
        ({"environment": {"DOMAIN": "other.example.com"}}, True),
        ({"healthSeconds": 60}, False),
    ],
)
def test_another_environment_is_deployed_and_another_limit_is_not(changed: dict[str, Any], deployed: bool) -> None:
    before, after = (commands(program(deployHosts=[host(**each)])) for each in ({}, changed))
    assert (before["web-deployment"] != after["web-deployment"]) is deployed


def test_the_first_deployment_comes_after_all_that_it_takes() -> None:
    declared = program()
    deployment = next(each for each in declared if each.name == "web-deployment")
    after = {urn.rpartition("::")[2] for urn in deployment.options.dependencies}
    assert after >= {each for each in commands(declared) if each != "web-deployment"}


def test_scripts_arrive_together_and_while_no_deployment_runs(web: dict[str, dict[str, Any]]) -> None:
    given = web["web-scripts"]
    assert json.loads(given["stdin"]) == {name: (SCRIPTS / f"{name}.sh").read_text() for name in INSTALLED}
    assert "flock /var/lib/carica/lock bash" in given["create"]


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_half_of_the_scripts_takes_no_old_ones_place(tmp_path: Path, share: float) -> None:
    programs = tmp_path / "carica-"
    given = json.dumps({name: f"echo {name}\n" for name in INSTALLED})
    script = shlex.split(INSTALL)[-1].replace(PROGRAMS, str(programs))
    words = ["bash", "-euo", "pipefail", "-c", script]
    assert subprocess.run(words, input=given, text=True, check=False).returncode == 0
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert before == {f"carica-{name}": f"echo {name}\n" for name in INSTALLED}
    cut = given.replace("echo", "cut")[: int(len(given) * share)]
    assert subprocess.run(words, input=cut, text=True, stderr=subprocess.PIPE, check=False).returncode != 0
    assert {name: (tmp_path / name).read_text() for name in before} == before


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_can_be_read_in_one_sitting(script: Path) -> None:
    assert len(script.read_text().splitlines()) < 150


def test_every_script_is_installed_but_the_one_that_prepares() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.sh")} == {*INSTALLED, "prepare"}


def test_every_server_is_told_what_is_its_own() -> None:
    servers = [host(), host(name="stage", address="stage.example.com", user="stager", environment={"STAGE": "yes"})]

    def two() -> None:
        for each in servers:
            server = Server.model_validate(each)
            DeployHost(server.name, DeployHostArgs(
                server=server, admin_key="a key", kestra_key="ssh-ed25519 AAAA", branch="main",
                registry_password="r" * 40, git_key=None, git_known_hosts=[], fetched_after=[],
            ))  # fmt: skip

    declared = commands(declare(two))
    assert len(declared) == 2 * len([name for name in declared if name.startswith("web-")])
    for each in servers:
        own = {name: given for name, given in declared.items() if name.startswith(f"{each['name']}-")}
        assert {given["connection"]["host"] for given in own.values()} == {each["address"]}
        assert f"runuser -u {each['user']} -- " in own[f"{each['name']}-deployment"]["create"]
    assert declared["stage-environment"]["stdin"] == "STAGE='yes'\n"
    assert declared["web-environment"]["stdin"] == ""
