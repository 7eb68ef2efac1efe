"""The real CLI, plugins and Docker engine: what `up` makes, and that each change does what it should and no more."""

import subprocess

import httpx
import pytest

from lab.paths import ROOT
from tests.estate import Estate, eventually

FLOWS = {path.stem for path in (ROOT / "flows").glob("*.yml")}


def flows(desk: Estate) -> set[str]:
    """Names of the flows that Kestra has."""
    with desk.desk.api() as api:
        return {
            each["id"] for each in api.get("/flows/search?namespace=prod&size=50").raise_for_status().json()["results"]
        }


def source(desk: Estate, flow: str) -> str:
    """A flow's source as Kestra has it."""
    with desk.desk.api() as api:
        return str(api.get(f"/flows/prod/{flow}?source=true").raise_for_status().json()["source"])


def edit_in_ui(desk: Estate, flow: str, text: str) -> None:
    """Store a flow as the editor does."""
    with desk.desk.api() as api:
        api.put(f"/flows/prod/{flow}", content=text, headers={"Content-Type": "application/x-yaml"}).raise_for_status()


def test_up_makes_a_desk_that_is_healthy(desk: Estate) -> None:
    for part in ("postgres", "kestra", "haproxy"):
        assert desk.inspect(part)["State"]["Health"]["Status"] == "healthy"
    assert flows(desk) == FLOWS
    with desk.desk.api() as api:
        assert api.get("/flows/prod/push_to_git").status_code == 200


def test_nothing_changes_the_second_time(desk: Estate) -> None:
    desk.expect_no_changes()
    assert set(desk.up().changes()) == {"same"}


def test_a_refresh_finds_nothing(desk: Estate) -> None:
    outcome = desk.pulumi("refresh", "--preview-only", "--diff", "--expect-no-changes")
    assert outcome.code == 0, outcome.text


def test_no_container_runs_as_root_or_publishes_what_it_should_not(desk: Estate) -> None:
    for part in ("postgres", "kestra", "haproxy"):
        shown = desk.inspect(part)
        assert shown["Config"]["User"] not in ("", "root", "0")
        assert shown["HostConfig"]["CapDrop"] == ["ALL"]
        published = {port for port, where in shown["NetworkSettings"]["Ports"].items() if where}
        assert published == ({"8080/tcp", "8443/tcp"} if part == "haproxy" else set())


def test_http_redirects_to_https(desk: Estate) -> None:
    port = desk.setting("httpPort")
    answer = httpx.get(f"http://localhost:{port}/ui/?a=b", follow_redirects=False, trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"{desk.desk.url}/ui/?a=b"


def test_the_page_opens_and_the_api_wants_a_login(desk: Estate) -> None:
    with httpx.Client(base_url=desk.desk.url, verify=desk.desk.trust, trust_env=False) as anonymous:
        assert anonymous.get("/api/v1/main/flows/search").status_code == 401
        assert (
            anonymous.get("/ui/", auth=(desk.desk.user, desk.desk.password), follow_redirects=True).status_code == 200
        )
        assert anonymous.get("/", headers={"Host": "elsewhere.example"}).status_code == 421


def test_management_and_statistics_are_not_reachable_from_outside(desk: Estate) -> None:
    with httpx.Client(base_url=desk.desk.url, verify=desk.desk.trust, trust_env=False) as anonymous:
        for path in ("/metrics", "/healthz", "/prometheus", "/proxy", "/haproxy?stats"):
            answer = anonymous.get(path)
            assert (answer.status_code, answer.text) == (404, "")


def test_a_flow_edited_in_its_file_is_updated_and_nothing_else(desk: Estate) -> None:
    file = desk.project / "flows/push_to_git.yml"
    original = file.read_text()
    before = desk.container_ids()
    file.write_text(original.replace("Flows as edited in Kestra", "Flows as edited by a test"))
    changes = desk.up().changes()
    assert changes["update"] == 1
    assert set(changes) == {"update", "same"}
    assert "Flows as edited by a test" in source(desk, "push_to_git")
    assert desk.container_ids() == before
    file.write_text(original)
    desk.up()


def test_a_comment_in_a_flow_changes_nothing(desk: Estate) -> None:
    file = desk.project / "flows/push_to_git.yml"
    original = file.read_text()
    file.write_text(f"# a remark\n{original}")
    desk.expect_no_changes()
    file.write_text(original)


def test_a_flow_that_is_removed_disappears_in_kestra_and_comes_back(desk: Estate) -> None:
    file = desk.project / "flows/push_to_git.yml"
    original = file.read_text()
    file.unlink()
    assert desk.up().changes()["delete"] == 1
    assert flows(desk) == FLOWS - {"push_to_git"}
    file.write_text(original)
    assert desk.up().changes()["create"] == 1
    assert flows(desk) == FLOWS


def test_an_invalid_flow_fails_with_kestras_words_and_the_old_one_stays(desk: Estate) -> None:
    file = desk.project / "flows/push_to_git.yml"
    original = file.read_text()
    file.write_text(original.replace("commitMessage:", "comitMessage:"))
    said = desk.failing_up()
    assert "Kestra refuses flow prod/push_to_git, and keeps what it had" in said
    assert "comitMessage" in said
    assert "comitMessage" not in source(desk, "push_to_git")
    file.write_text(original)
    desk.up()


def test_an_edit_in_the_ui_shows_as_a_diff_and_is_put_back(desk: Estate) -> None:
    original = source(desk, "push_to_git")
    edit_in_ui(desk, "push_to_git", original.replace("Flows as edited in Kestra", "edited by hand"))
    shown = desk.pulumi("refresh", "--preview-only", "--diff").text
    assert "edited by hand" in shown
    assert "Flows as edited in Kestra" in shown
    desk.up("--refresh")
    assert "edited by hand" not in source(desk, "push_to_git")
    desk.expect_no_changes()


def test_a_new_database_password_is_taken_on_and_kestra_comes_back(desk: Estate) -> None:
    before = desk.container_ids()
    desk.set("databases[0].password", "another-password-for-kestra", secret=True)
    desk.up()
    after = desk.container_ids()
    assert {part for part in after if after[part] != before[part]} == {"kestra"}
    assert desk.inspect("kestra")["State"]["Health"]["Status"] == "healthy"
    assert flows(desk) == FLOWS
    desk.expect_no_changes()


def test_a_database_can_be_added_to_a_volume_that_exists(desk: Estate) -> None:
    before = desk.container_ids()
    desk.set("databases[1].name", "carica")
    desk.set("databases[1].password", "the-web-application's-password", secret=True)
    changes = desk.up().changes()
    assert changes["update"] == 1
    assert set(changes) == {"update", "same"}
    assert desk.container_ids() == before
    assert sql(desk, "carica", "SELECT current_user", "the-web-application's-password") == "carica"
    desk.unset("databases[1]")
    desk.up()


def sql(desk: Estate, role: str, statement: str, password: str) -> str:
    """Run SQL over TCP with a password, as a client on the data network does."""
    done = subprocess.run(
        ["docker", "exec", "-e", "PGPASSWORD", f"{desk.prefix}-postgres", "psql", "-h", f"{desk.prefix}-postgres",
         "-U", role, "-d", role, "-Atc", statement],
        env={"PGPASSWORD": password, "PATH": "/usr/bin:/usr/local/bin:/bin"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.stdout.strip()


def test_roles_log_in_with_their_password_only_and_see_no_other_database(desk: Estate) -> None:
    assert "password authentication failed" in sql(desk, "kestra", "SELECT 1", "a wrong password")
    password = desk.pulumi("config", "get", "--path", "carica-kestra:databases[0].password").text.strip()
    assert sql(desk, "kestra", "SELECT current_user", password) == "kestra"
    assert sql(desk, "kestra", "SHOW password_encryption", password) == "scram-sha-256"


def test_a_database_dropped_by_hand_is_noticed_and_made_again(desk: Estate) -> None:
    def by_hand(statement: str) -> str:
        words = ["docker", "exec", f"{desk.prefix}-postgres", "psql", "-Atc", statement]
        return subprocess.run(words, text=True, stdout=subprocess.PIPE, check=True).stdout.strip()

    desk.set("databases[1].name", "carica")
    desk.set("databases[1].password", "the-web-application's-password", secret=True)
    desk.up()
    before = desk.container_ids()
    by_hand("DROP DATABASE carica")
    assert desk.pulumi("refresh", "--preview-only", "--expect-no-changes").code != 0
    desk.up("--refresh")
    assert by_hand("SELECT datname FROM pg_database WHERE datname = 'carica'") == "carica"
    assert desk.container_ids() == before
    desk.unset("databases[1]")
    desk.up()


def test_a_new_image_replaces_its_container_only(desk: Estate) -> None:
    image = desk.setting("haproxyImage")
    subprocess.run(["docker", "build", "--quiet", "--tag", "haproxy:test-other", "-"], check=True, text=True,
                   input=f"FROM {image}\nLABEL other=yes\n", stdout=subprocess.DEVNULL)  # fmt: skip
    before = desk.container_ids()
    desk.set("haproxyImage", "haproxy:test-other")
    desk.up()
    after = desk.container_ids()
    assert {part for part in after if after[part] != before[part]} == {"haproxy"}
    desk.set("haproxyImage", image)
    desk.up()
    subprocess.run(["docker", "rmi", "haproxy:test-other"], check=True, stdout=subprocess.DEVNULL)


def test_an_image_that_cannot_be_had_fails_before_anything_is_touched(desk: Estate) -> None:
    image, before = desk.setting("haproxyImage"), desk.container_ids()
    desk.set("haproxyImage", "carica-lab/there-is-no-such-image:1")
    assert "there-is-no-such-image" in desk.failing_up()
    assert desk.container_ids() == before
    desk.set("haproxyImage", image)
    desk.up()


def test_a_memory_limit_is_changed_in_place(desk: Estate) -> None:
    before = desk.container_ids()
    desk.set("haproxyMemory", "384")
    assert desk.up().changes()["update"] == 1
    assert desk.container_ids() == before
    assert desk.inspect("haproxy")["HostConfig"]["Memory"] == 384 * 1024 * 1024
    desk.unset("haproxyMemory")
    desk.up()


def test_wrong_settings_are_all_named_before_anything_is_touched(desk: Estate) -> None:
    before = desk.container_ids()
    desk.set("kestraUser", "nobody")
    desk.set("httpPort", "0")
    said = desk.failing_up()
    assert "have 2 problems; nothing was changed" in said
    assert "Traceback" not in said
    assert desk.container_ids() == before
    desk.set("kestraUser", "admin@example.com")
    desk.set("httpPort", str(free_http(desk)))
    desk.up()


def free_http(desk: Estate) -> int:
    """The port the desk's edge publishes for HTTP now."""
    return int(desk.inspect("haproxy")["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"])


@pytest.mark.parametrize("part", ["haproxy", "kestra"])
def test_a_container_removed_by_hand_is_noticed_and_made_again(desk: Estate, part: str) -> None:
    subprocess.run(["docker", "rm", "--force", f"{desk.prefix}-{part}"], check=True, stdout=subprocess.DEVNULL)
    outcome = desk.pulumi("refresh", "--yes", "--skip-preview")
    assert outcome.code == 0, outcome.text
    assert desk.up().changes()["create"] == 1
    assert desk.inspect(part)["State"]["Health"]["Status"] == "healthy"
    assert flows(desk) == FLOWS
    desk.expect_no_changes()


@pytest.mark.parametrize("part", ["haproxy", "kestra", "postgres"])
def test_a_container_killed_by_hand_is_noticed_and_mended(desk: Estate, part: str) -> None:
    subprocess.run(["docker", "kill", f"{desk.prefix}-{part}"], check=True, stdout=subprocess.DEVNULL)
    assert desk.pulumi("refresh", "--preview-only", "--expect-no-changes").code != 0
    desk.up("--refresh")
    # The plugin starts it again and does not wait for its health, as it does for one that it makes; and Kestra, which
    # ends when its database does, comes back by itself.
    eventually(lambda: serves(desk), 120)
    eventually(
        lambda: {desk.inspect(each)["State"]["Health"]["Status"] for each in desk.container_ids()} == {"healthy"}, 120
    )
    assert flows(desk) == FLOWS
    desk.expect_no_changes()


def serves(desk: Estate) -> bool:
    """Tell whether Kestra answers through the edge, with all flows from its database."""
    try:
        return flows(desk) == FLOWS
    except httpx.HTTPError:
        return False


def test_an_interrupted_up_is_completed_by_the_next(desk: Estate) -> None:
    desk.set("terminationGrace", "31")
    desk.interrupted_up(after="kestra")
    desk.pulumi("cancel", "--yes")
    desk.up("--refresh")
    assert desk.inspect("kestra")["State"]["Health"]["Status"] == "healthy"
    assert flows(desk) == FLOWS
    desk.expect_no_changes()
    desk.set("terminationGrace", "30")
    desk.up()


def test_kestra_is_stopped_before_its_database_is_replaced_and_loses_nothing(desk: Estate) -> None:
    desk.set("postgresMemory", "320")  # its buffers follow, and so its command line
    desk.up()
    assert desk.inspect("postgres")["State"]["StartedAt"] < desk.inspect("kestra")["State"]["StartedAt"]
    assert flows(desk) == FLOWS
    desk.set("postgresMemory", "256")
    desk.up()


def test_the_deploy_host_lets_kestra_run_the_script_and_nothing_else(desk: Estate) -> None:
    from lab.demo import as_kestra
    from lab.shell import LabError

    assert '"commit":"' in as_kestra("status", desk.ssh_port)
    for command in ("sh", "id", "commit HEAD", "commit $(id)", "commit " + "a" * 39, "image a/b c", "--help; id", ""):
        with pytest.raises(LabError, match="exit code 2"):
            as_kestra(command, desk.ssh_port)


def test_protected_data_is_not_destroyed(desk: Estate) -> None:
    desk.set("protectData", "true")
    desk.up()
    before = desk.container_ids()
    outcome = desk.pulumi("destroy", "--yes", "--skip-preview")
    assert outcome.code != 0
    assert "protect" in outcome.text
    assert desk.container_ids() == before
    assert flows(desk) == FLOWS
    desk.set("protectData", "false")
    desk.up()
    assert flows(desk) == FLOWS


def test_a_renamed_flow_file_is_refused_before_anything_is_touched(desk: Estate) -> None:
    file = desk.project / "flows/push_to_git.yml"
    renamed = file.rename(file.with_name("push.yml"))
    said = desk.failing_up()
    assert "flows/push.yml holds the flow prod/push_to_git, not prod/push" in said
    assert "Traceback" not in said
    assert flows(desk) == FLOWS
    renamed.rename(file)
    desk.expect_no_changes()


def test_a_new_login_of_kestra_is_taken_on_even_with_a_refresh_before(desk: Estate) -> None:
    old, new = desk.setting("kestraPassword"), "Another-login-of-Kestra-2"

    def status(password: str) -> int:
        url = f"{desk.desk.url}/api/v1/main/flows/prod/push_to_git"
        login = (desk.desk.user, password)
        return httpx.get(url, auth=login, verify=desk.desk.trust, trust_env=False).status_code

    for before, after in ((old, new), (new, old)):
        assert (status(before), status(after)) == (200, 401)
        desk.set("kestraPassword", after, secret=True)
        desk.up("--refresh")
        assert (status(before), status(after)) == (401, 200)
        assert flows(desk) == FLOWS
    desk.expect_no_changes()


def test_a_broken_configuration_of_the_edge_fails_the_up_in_haproxys_words_and_leaves_it_serving(desk: Estate) -> None:
    file = desk.project / "components/templates/haproxy.cfg.j2"
    original, before = file.read_text(), desk.container_ids()
    file.write_text(original + "\nfrontend broken\n    garbage here\n")
    assert "unknown keyword 'garbage' in 'frontend' section" in desk.failing_up()
    assert flows(desk) == FLOWS
    file.write_text(original)
    desk.up()
    assert desk.container_ids() == before
    desk.expect_no_changes()


def test_webhooks_from_githubs_addresses_alone_are_those_that_github_names(desk: Estate) -> None:
    desk.set("hooksFromGithubOnly", "true")
    desk.up()
    written = subprocess.run(
        ["docker", "exec", f"{desk.prefix}-haproxy", "cat", "/usr/local/etc/haproxy/haproxy.cfg"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    named = httpx.get(f"{desk.github.url}/api/v3/meta", trust_env=False).json()["hooks"]
    assert [line.split()[-1] for line in written.splitlines() if "acl from_github src" in line] == named
    desk.expect_no_changes()
    desk.unset("hooksFromGithubOnly")
    desk.up()
