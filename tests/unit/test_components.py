"""What each component declares: options, hardening, and where secrets may stand."""

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.program import SECRETS, plain, program, public
from tests.unit.recording import Declared
from tests.unit.valid import ENCRYPTION_KEY, private_key, values

CONTAINER = "docker:index/container:Container"
JOB = "pulumi-python:dynamic/carica:Job"
INNER_KEY = hmac.new(base64.b64decode(ENCRYPTION_KEY), b"webhook key", hashlib.sha256).hexdigest()
INNER_SECRET = base64.b64encode(INNER_KEY.encode()).decode()
HIDDEN = [*SECRETS, ENCRYPTION_KEY, INNER_KEY, INNER_SECRET]


@pytest.fixture(scope="module")
def desk() -> list[Declared]:
    """Everything the real program declares for valid settings, in production's protection."""
    return program()


def containers(desk: list[Declared]) -> dict[str, Declared]:
    return {each.name: each for each in desk if each.type == CONTAINER}


def jobs(desk: list[Declared]) -> dict[str, dict[str, Any]]:
    return {each.name: plain(each) for each in desk if each.type == JOB}


def inputs(declared: list[Declared]) -> dict[tuple[str, str], dict[str, Any]]:
    """Inputs by type and name: the order in which resources are declared is nobody's choice."""
    return {(each.type, each.name): plain(each) for each in declared}


def test_the_desk_is_three_services(desk: list[Declared]) -> None:
    assert set(containers(desk)) == {"carica-test-postgres", "carica-test-kestra", "carica-test-haproxy"}


def test_only_the_edge_publishes_ports(desk: list[Declared]) -> None:
    published = {name for name, each in containers(desk).items() if plain(each).get("ports")}
    assert published == {"carica-test-haproxy"}


def test_the_edge_publishes_on_the_chosen_address_only(desk: list[Declared]) -> None:
    ports = plain(containers(desk)["carica-test-haproxy"])["ports"]
    assert {(port["external"], port["ip"]) for port in ports} == {(8080, "127.0.0.1"), (8443, "127.0.0.1")}


def test_the_statistics_page_is_published_on_the_loopback_alone_and_only_where_it_has_a_password() -> None:
    declared = program(bindAddress="0.0.0.0", statsPassword="p" * 20, statsPort=9000)  # noqa: S104
    ports = plain(containers(declared)["carica-test-haproxy"])["ports"]
    assert {(port["external"], port["ip"]) for port in ports} == {
        (8080, "0.0.0.0"),  # noqa: S104
        (8443, "0.0.0.0"),  # noqa: S104
        (9000, "127.0.0.1"),
    }
    assert "p" * 20 in jobs(declared)["carica-test-haproxy-configuration"]["files"]["/new/haproxy.cfg"]
    assert not [each for each in declared if "p" * 20 in public(each.inputs)]


def test_hooks_come_from_githubs_addresses_alone_where_the_stack_says_so() -> None:
    networks = ["192.30.252.0/22", "2a0a:a440::/29"]
    declared = program(hook_addresses=networks, hooksFromGithubOnly=True)
    written = jobs(declared)["carica-test-haproxy-configuration"]["files"]["/new/haproxy.cfg"]
    assert [line.split()[-1] for line in written.splitlines() if "acl from_github src" in line] == networks
    # By default nobody asks GitHub: the recorder would fail.
    written = jobs(program())["carica-test-haproxy-configuration"]["files"]["/new/haproxy.cfg"]
    assert "from_github" not in written


def test_every_container_has_limits_rotation_and_no_new_privileges(desk: list[Declared]) -> None:
    for each in containers(desk).values():
        given = plain(each)
        assert given["memory"] == given["memorySwap"] > 0
        assert given["logOpts"]["max-size"]
        assert given["securityOpts"] == ["no-new-privileges:true"]
        assert given["capabilities"]["drops"] == ["ALL"]
        assert not given.get("privileged")


def test_every_service_restarts_is_watched_and_stops_gracefully(desk: list[Declared]) -> None:
    for each in containers(desk).values():
        given = plain(each)
        assert given["restart"] == "unless-stopped"
        assert given["healthcheck"]["tests"]
        assert given["wait"] is True
        # Longer than a delivery may take; event streams of open pages are not waited for.
        assert given["destroyGraceSeconds"] == given["stopTimeout"] > 10


def test_kestra_may_stop_longer_than_its_own_grace(desk: list[Declared]) -> None:
    assert plain(containers(desk)["carica-test-kestra"])["destroyGraceSeconds"] > 300


def test_services_are_replaced_after_the_old_one_is_gone_and_for_a_new_healthcheck(desk: list[Declared]) -> None:
    for each in containers(desk).values():
        assert each.options.deleteBeforeReplace
        assert {"healthcheck", "tmpfs"} <= set(each.options.replaceOnChanges)


def test_no_container_sees_the_docker_socket_or_a_directory_of_the_host(desk: list[Declared]) -> None:
    for each in containers(desk).values():
        for volume in plain(each).get("volumes", []):
            assert "hostPath" not in volume
            assert volume["volumeName"].startswith("carica-test-")


def test_only_jobs_that_change_an_owner_run_as_root(desk: list[Declared]) -> None:
    assert all(plain(each)["user"] not in ("root", "0") for each in containers(desk).values())
    for name, given in jobs(desk).items():
        if given["user"] == "root":
            assert name.endswith("-owner")
            assert given["capabilities"] == ["CAP_CHOWN"]
        else:
            assert given["capabilities"] == []


def test_images_are_pulled_before_a_container_is_touched(desk: list[Declared]) -> None:
    for each in containers(desk).values():
        assert plain(each)["image"].startswith("sha256:")


def test_the_data_network_leads_nowhere(desk: list[Declared]) -> None:
    networks = {each.name: plain(each) for each in desk if each.type == "docker:index/network:Network"}
    assert networks["carica-test-postgres-data"]["internal"] is True
    postgres = plain(containers(desk)["carica-test-postgres"])
    assert [network["name"] for network in postgres["networksAdvanced"]] == ["carica-test-postgres-data"]


@pytest.mark.parametrize("protect", [True, False])
def test_data_volumes_outlive_mistakes_where_the_stack_says_so(protect: bool) -> None:
    declared = program(protectData=str(protect).lower())
    volumes = {each.name: each for each in declared if each.type == "docker:index/volume:Volume"}
    for name in ("carica-test-postgres-data", "carica-test-kestra-storage"):
        assert volumes[name].options.protect is protect
        assert volumes[name].options.retainOnDelete is protect


def test_nothing_changeable_stands_on_a_volume(desk: list[Declared]) -> None:
    for each in desk:
        if each.type == "docker:index/volume:Volume":
            assert set(each.inputs) == {"name"}


def test_kestra_stops_before_its_database_is_replaced(desk: list[Declared]) -> None:
    kestra = containers(desk)["carica-test-kestra"]
    assert [urn.rpartition("::")[2] for urn in kestra.options.replace_with] == ["carica-test-postgres"]


def test_kestra_starts_after_the_databases_are_there(desk: list[Declared]) -> None:
    kestra = containers(desk)["carica-test-kestra"]
    assert any(urn.endswith("carica-test-postgres-databases") for urn in kestra.options.dependencies)


def test_the_database_job_runs_again_for_a_new_server(desk: list[Declared]) -> None:
    assert jobs(desk)["carica-test-postgres-databases"]["environment"]["SERVER"] == "carica-test-postgres-id"


def test_secrets_are_marked_wherever_they_stand(desk: list[Declared]) -> None:
    for each in desk:
        shown = public(each.inputs)
        for secret in HIDDEN:
            assert secret not in shown, f"{secret} is plain in {each.name}"


def test_secrets_never_stand_in_argv_or_labels(desk: list[Declared]) -> None:
    for each in containers(desk).values():
        given = plain(each)
        said = " ".join(map(str, [given.get("command"), given.get("entrypoints"), given.get("labels")]))
        assert not any(secret in said for secret in HIDDEN)
    for given in jobs(desk).values():
        assert not any(secret in given["script"] + str(given["environment"]) for secret in HIDDEN)
    for each in desk:
        if each.type == "command:remote:Command":
            assert not any(secret in str(plain(each)["create"]) for secret in HIDDEN)
            assert "PRIVATE KEY" not in str(plain(each)["create"])


def test_commands_on_the_deploy_host_pin_its_key_and_have_a_time_limit(desk: list[Declared]) -> None:
    commands = [plain(each) for each in desk if each.type == "command:remote:Command"]
    assert commands
    for given in commands:
        assert given["connection"]["hostKey"].startswith("ssh-ed25519 ")
        assert given["create"].startswith("timeout ")
        assert given["addPreviousOutputInEnv"] is False


def test_kestra_and_the_edge_join_other_networks() -> None:
    declared = containers(program(networks=["other"]))
    for name in ("carica-test-kestra", "carica-test-haproxy"):
        assert {"carica-test-kestra-web", "other"} <= {
            each["name"] for each in plain(declared[name])["networksAdvanced"]
        }


def test_kestra_knows_the_inner_key_and_github_the_outer_one(desk: list[Declared]) -> None:
    assert f"SECRET_WEBHOOK_KEY={INNER_SECRET}" in plain(containers(desk)["carica-test-kestra"])["envs"]
    files = jobs(desk)["carica-test-haproxy-configuration"]["files"]
    assert INNER_KEY in files["/new/haproxy.cfg"]
    assert files["/new/accepted"] == f"key {'k' * 24}\nsecret {base64.b64encode(b's' * 40).decode()}\n"


def test_a_new_webhook_key_and_secret_run_the_edges_job_and_change_the_hooks_and_nothing_else() -> None:
    ssh: dict[str, Any] = {key: private_key() for key in ("adminSshKey", "kestraSshKey", "deployGitKey")}
    before = inputs(program(**ssh))
    after = inputs(program(**ssh, webhookKey="n" * 24, webhookSecret="n" * 40))
    assert before.keys() == after.keys()
    hooks = {key for key in before if key[0] == "github:index/repositoryWebhook:RepositoryWebhook"}
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {(JOB, "carica-test-haproxy-configuration"), *hooks}


def test_a_certificate_from_a_file_is_a_secret_like_any_other(tmp_path: Path) -> None:
    pem = values()["tlsCertificate"]
    (tmp_path / "edge.pem").write_text(pem)
    declared = program(tlsCertificate=None, tlsCertificateFile=str(tmp_path / "edge.pem"))
    job = next(each for each in declared if (each.type, each.name) == (JOB, "carica-test-haproxy-configuration"))
    assert plain(job)["files"]["/new/edge.pem"] == pem
    assert pem.splitlines()[-2] not in public(job.inputs)


def ordering() -> list[Declared]:
    """What is declared where the edge orders its certificate."""
    acme = {"directory": "https://ca.example.com/directory", "email": "desk@example.com"}
    return program(acme=acme, domain="desk.example.com", tlsCertificate=None)


def test_an_ordered_certificate_is_there_before_anybody_calls_the_edge() -> None:
    declared = ordering()
    called = ("pulumi-python:dynamic/carica:Flow", "github:index/repositoryWebhook:RepositoryWebhook")
    for each in (each for each in declared if each.type in called):
        waits = {urn.rpartition("::")[2] for urn in each.options.dependencies}
        assert "carica-test-haproxy-certificate" in waits, each.name
    job = next(each for each in declared if each.name == "carica-test-haproxy-certificate")
    assert any(urn.endswith("::carica-test-haproxy") for urn in job.options.dependencies)


def test_only_an_ordered_certificate_is_seen_to_by_the_healthcheck(desk: list[Declared]) -> None:
    ordered, given = ordering(), desk
    kept = "/usr/local/etc/haproxy/acme/acme.sh /var/lib/haproxy/admin.sock 0"
    assert plain(containers(ordered)["carica-test-haproxy"])["healthcheck"]["tests"][1].endswith(f" && {kept}")
    assert plain(containers(given)["carica-test-haproxy"])["healthcheck"]["tests"][0] == "CMD"
    assert "carica-test-haproxy-certificate" not in jobs(given)


def test_experimental_parts_of_haproxy_are_used_for_an_ordered_certificate_only(desk: list[Declared]) -> None:
    def configuration(declared: list[Declared]) -> str:
        return str(jobs(declared)["carica-test-haproxy-configuration"]["files"]["/new/haproxy.cfg"])

    assert "expose-experimental-directives" in configuration(ordering())
    for part in ("experimental", "acme"):
        assert part not in configuration(desk)


def test_kestra_does_not_log_the_keys_that_the_edge_puts_into_urls(desk: list[Declared]) -> None:
    uploads = {each["file"]: each["content"] for each in plain(containers(desk)["carica-test-kestra"])["uploads"]}
    exclusions = yaml.safe_load(uploads["/app/confs/application.yml"])["micronaut"]["server"]["netty"]["access-logger"]
    url = f"/api/v1/main/executions/webhook/prod/gh_push_deployment/{INNER_KEY}"
    assert any(re.fullmatch(each, url) for each in exclusions["exclusions"])


def test_no_credential_is_in_a_flow(desk: list[Declared]) -> None:
    flows = [plain(each) for each in desk if each.type == "pulumi-python:dynamic/carica:Flow"]
    assert len(flows) == 6
    for given in flows:
        assert not any(secret in str(given["source"]) + str(given["url"]) for secret in HIDDEN)


def test_every_child_has_a_parent_and_engine_parts_use_the_declared_engine(desk: list[Declared]) -> None:
    for each in desk:
        if each.type.startswith("docker:"):
            assert "carica:" in each.options.parent
            assert "engine" in each.options.provider


def test_the_program_declares_the_same_in_a_preview(desk: list[Declared]) -> None:
    previewed = program(preview=True)
    assert {each.name for each in previewed} == {each.name for each in desk}


@pytest.mark.parametrize(("admin", "begins"), [("root", "timeout "), ("ubuntu", "sudo -n timeout ")])
def test_an_administrator_other_than_root_prepares_the_server_through_sudo(admin: str, begins: str) -> None:
    hosts = [json.loads(values()["deployHosts"])[0] | {"adminUser": admin}]
    commands = [plain(each) for each in program(deployHosts=hosts) if each.type.startswith("command:")]
    assert [given["create"].startswith(begins) for given in commands] == [True] * 7


def test_postgresql_is_tuned_to_the_memory_it_may_take() -> None:
    declared = program(postgresMemory="1024")
    given = plain(containers(declared)["carica-test-postgres"])
    for tuning in ("shared_buffers=256MB", "effective_cache_size=768MB", "maintenance_work_mem=64MB"):
        assert tuning in given["command"]
    assert (given["memory"], given["shmSize"]) == (1024, 256)


def test_kestras_heap_leaves_room_for_the_rest_of_the_process() -> None:
    declared = program(kestraMemory="2000")
    assert "JAVA_OPTS=-Xmx1200m" in plain(containers(declared)["carica-test-kestra"])["envs"]


def test_kestras_configuration_is_what_the_desk_stands_on(desk: list[Declared]) -> None:
    uploads = {each["file"]: each["content"] for each in plain(containers(desk)["carica-test-kestra"])["uploads"]}
    given = yaml.safe_load(uploads["/app/confs/application.yml"])
    kestra, database = given["kestra"], given["datasources"]["postgres"]
    assert kestra["server"]["basic-auth"]["open-urls"] == ["/api/v1/main/executions/webhook/"]
    assert kestra["server"]["basic-auth"]["username"] == "admin@example.com"
    assert kestra["tasks"]["sdk"]["authentication"]["url"] == "http://localhost:8080"
    assert kestra["server"]["termination-grace-period"] == "300s"
    assert database["url"] == "jdbc:postgresql://postgres:5432/kestra"
    assert (kestra["repository"]["type"], kestra["queue"]["type"]) == ("postgres", "postgres")
    for off in ("anonymous-usage-report", "ui-anonymous-usage-report", "tutorial-flows"):
        assert kestra[off] == {"enabled": False}


def test_kestra_knows_the_deploy_host_by_its_key_alone(desk: list[Declared]) -> None:
    uploads = {each["file"]: each["content"] for each in plain(containers(desk)["carica-test-kestra"])["uploads"]}
    assert "StrictHostKeyChecking yes" in uploads["/app/ssh/config"]
    assert uploads["/app/ssh/known_hosts"].startswith("web.example.com ssh-ed25519 ")


@pytest.mark.parametrize("protect", [True, False])
def test_what_guards_against_destroy_stands_on_everything_else(protect: bool) -> None:
    declared = program(protectData=str(protect).lower())
    guard = next(each for each in declared if each.type == "carica:guard:Guard")
    assert guard.options.protect is protect
    stood_on = {urn.rpartition("::")[2] for urn in guard.options.dependencies}
    children = {each.name for each in declared if each.options.custom and not each.type.startswith("pulumi:providers")}
    assert children <= stood_on
