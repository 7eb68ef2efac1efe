"""The lab's carica-deploy: files that compose and HAProxy take, committed once."""

import json
import secrets

import pytest

from lab import apps, carica_deploy, registry
from lab.deploy_host import IMAGE
from lab.github import Client
from lab.shell import run
from lab.stack import settings


def commits(github: Client) -> list[str]:
    with github.api(github.token({"contents": "read"})) as api:
        listed = api.get(f"/repos/{carica_deploy.REPOSITORY}/commits").raise_for_status().json()
    return [each["commit"]["message"] for each in listed]


@pytest.mark.parametrize("before", [None, {"README.md": "made without a compose file"}])
def test_it_is_seeded_once_and_what_is_changed_stays(github: Client, before: dict[str, str | None] | None) -> None:
    github.reset()
    if before:
        github.commit(carica_deploy.REPOSITORY, before)
    carica_deploy.seed(github)
    seeded = commits(github)
    assert seeded[0] == "What runs on the deploy host"
    github.commit(carica_deploy.REPOSITORY, {"haproxy.cfg": "another\n"})
    carica_deploy.seed(github)
    assert len(commits(github)) == len(seeded) + 1


def test_the_dev_stack_says_where_the_lab_serves_and_keeps_its_images() -> None:
    host = settings()["deployHosts"][0]
    assert host["environment"] == carica_deploy.environment("dev")
    assert host["registry"] == {"server": registry.address(), "username": registry.ACCOUNT}


def composed(**variables: str) -> dict[str, dict[str, object]]:
    """Return the services as the deploy host's compose reads the file."""
    given = [word for each in variables.items() for word in ("--env", "=".join(each))]
    words = ["docker", "run", "--rm", "--network", "none", "--volume", f"{carica_deploy.FILES}:/files:ro", *given]
    command = ["docker", "compose", "--project-directory", "/files", "config", "--format", "json"]
    return dict(json.loads(run("compose", [*words, IMAGE, *command]))["services"])


def test_compose_takes_the_file_with_what_a_host_and_the_script_say(references: dict[str, str]) -> None:
    services = composed(REGISTRY="127.0.0.1:1/centaurin", CARICA_ML_TAG="v2", HTTP_BIND="127.0.0.1:2")
    assert services["carica"]["image"] == f"{apps.image('carica', 1)}:main"
    assert services["carica-ml"]["image"] == f"{apps.image('carica-ml', 1)}:v2"
    assert {each for each, service in services.items() if (service.get("labels") or {}) == {"carica.twice": "true"}} \
        == {"carica", "carica-ml"}  # fmt: skip
    assert composed()["carica"]["image"] == "ghcr.io/centaurin/carica:main"


def test_the_proxy_is_the_image_that_the_stack_pins_and_takes_its_configuration(references: dict[str, str]) -> None:
    image = composed()["proxy"]["image"]
    assert image == references["haproxy"]
    words = ["docker", "run", "--rm", "--network", "none", "--volume", f"{carica_deploy.FILES}:/files:ro"]
    run("haproxy", [*words, str(image), "haproxy", "-c", "-f", "/files/haproxy.cfg"])


def test_removing_a_stacks_applications_leaves_those_of_others(references: dict[str, str]) -> None:
    made, removed, kept = {}, f"test{secrets.token_hex(3)}", f"test{secrets.token_hex(3)}"
    for stack in (removed, kept):
        label = f"com.docker.compose.project={carica_deploy.project(stack)}"
        reference = apps.build("carica", "v1", port=1)
        made[stack] = run("app", ["docker", "run", "--detach", "--label", label, reference]).strip()
    try:
        carica_deploy.remove(removed)
        assert run("containers", ["docker", "ps", "--quiet", "--no-trunc"]).split().count(made[removed]) == 0
        assert made[kept] in run("containers", ["docker", "ps", "--quiet", "--no-trunc"])
    finally:
        carica_deploy.remove(kept)
        run("image", ["docker", "image", "rm", f"{apps.image('carica', 1)}:v1"])
