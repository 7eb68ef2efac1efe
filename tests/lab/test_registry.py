"""The lab's registry is a real one: images go in and come out of it, for who is logged in."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from lab import apps, registry
from lab.shell import LabError, run
from tests.estate import eventually, free_port


@dataclass
class Registry:
    """One for the tests of this module."""

    name: str
    port: int


@pytest.fixture(scope="module")
def its(references: dict[str, str]) -> Iterator[Registry]:
    name, port = f"carica-test-{secrets.token_hex(3)}", free_port()
    try:
        registry.start(name, name, port)
        yield Registry(name, port)
    finally:
        registry.remove(name, name, port)


def present(reference: str) -> bool:
    return bool(run("images", ["docker", "image", "ls", "--quiet", reference]).strip())


def pull(reference: str, port: int) -> None:
    with registry.login(port) as env:
        run("pull", ["docker", "pull", reference], env=env)


def test_a_version_that_was_pushed_can_be_pulled(its: Registry) -> None:
    reference = apps.publish("carica", "v1", port=its.port)
    run("image", ["docker", "image", "rm", reference])
    pull(reference, its.port)
    assert present(reference)


def test_what_was_never_pushed_cannot_be_pulled(its: Registry) -> None:
    with pytest.raises(LabError, match=r"not found|unknown"):
        pull(f"{apps.image('carica', its.port)}:v404", its.port)


def test_nobody_pulls_or_pushes_without_a_login(its: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = apps.publish("carica", "v2", port=its.port)
    with pytest.raises(LabError, match="no basic auth credentials"):
        run("pull", ["docker", "pull", reference])
    with pytest.raises(LabError, match="no basic auth credentials"):
        run("push", ["docker", "push", reference])
    monkeypatch.setattr(registry, "password", lambda: "a guess")
    with pytest.raises(LabError, match="unauthorized"):
        apps.publish("carica", "v3", port=its.port)


def test_it_keeps_its_images_and_its_login_over_a_restart(its: Registry) -> None:
    reference = apps.publish("carica-ml", "v1", port=its.port)
    run("image", ["docker", "image", "rm", reference])
    run("restart", ["docker", "restart", "--time", "5", its.name])
    registry.wait(its.port)
    pull(reference, its.port)


def test_one_that_stands_is_left_alone_and_a_new_password_makes_another(
    its: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity() -> str:
        return run("container", ["docker", "inspect", "--format", "{{.Id}}", its.name])

    first = identity()
    registry.start(its.name, its.name, its.port)
    assert identity() == first
    with monkeypatch.context() as patch:
        patch.setattr(registry, "password", lambda: "another")
        registry.start(its.name, its.name, its.port)
        assert identity() != first
    with pytest.raises(LabError, match=r"did not answer.*401"):
        registry.wait(its.port, seconds=1)
    registry.start(its.name, its.name, its.port)


def test_no_secret_stands_where_others_look(its: Registry) -> None:
    shown = run("log", ["docker", "logs", its.name]) + run("processes", ["docker", "top", its.name])
    assert registry.password() not in shown


def test_one_that_is_gone_refuses_connections(its: Registry) -> None:
    reference = apps.publish("carica", "v1", port=its.port)
    run("stop", ["docker", "stop", its.name])
    try:
        with pytest.raises(LabError, match="connection refused"):
            pull(reference, its.port)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{registry.address(its.port)}/v2/", trust_env=False)
    finally:
        run("start", ["docker", "start", its.name])
        registry.wait(its.port)


def test_removing_it_leaves_nothing(references: dict[str, str]) -> None:
    name, port = f"carica-test-{secrets.token_hex(3)}", free_port()
    registry.start(name, name, port)
    reference = apps.publish("carica", "v1", port=port)
    registry.remove(name, name, port)
    assert not present(reference)
    for what in ("container", "volume", "network"):
        assert name not in run(what, ["docker", what, "ls", *(["--all"] if what == "container" else [])])
    assert eventually(lambda: run("base", ["docker", "image", "ls", "--quiet", apps.BASE]).strip())
