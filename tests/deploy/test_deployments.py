"""What is merged or built gets to run: beside the old where it may, and nothing else is touched."""

import json

from lab import apps, registry
from lab.shell import run
from tests.deploy.server import PROXY, REPOSITORY, SETTLE_SECONDS, Server

SERVICES = ("proxy", "carica", "carica-ml")
SOURCE = "5" * 40


def test_the_first_deployment_serves_and_says_what_it_is(server: Server) -> None:
    assert server.get("/ml") == "carica-ml main"
    status = server.status()
    assert status["commit"] == server.sh("git -C /srv/git/deploy.git rev-parse main").strip()
    assert set(status["services"]) == set(SERVICES)
    assert "@sha256:" in status["services"]["carica"]
    first = server.history()[0]
    assert (first["who"], first["what"], first["outcome"], first["from"]) == ("pulumi", "current", "deployed", None)


def test_a_new_image_is_served_without_a_request_lost_and_nothing_else_is_touched(server: Server) -> None:
    others = [server.containers("proxy"), server.containers("carica-ml")]
    server.install(SETTLE_SECONDS)
    with server.asked_all_the_time() as answers:
        said = server.update("image", "carica", "v2", "by=renovate[bot]", f"source={SOURCE}")
    server.install()
    assert answers == {"carica main", "carica v2"}
    assert [server.containers("proxy"), server.containers("carica-ml")] == others
    assert len(server.containers("carica")) == 1
    assert said.splitlines()[0] == "carica-update: started"
    assert said.splitlines()[-1] == f"deployed commit {server.status()['commit']}"
    record = server.history()[-1]
    assert (record["who"], record["what"], record["source"]) == ("renovate[bot]", "image carica v2", SOURCE)
    assert (record["from"]["images"], record["to"]["images"]) == ({}, {"carica": "v2"})
    assert record["seconds"].keys() == {"lock", "prepare", "replace", "total"}


def test_the_same_once_more_starts_nothing_and_leaves_the_way_back(server: Server) -> None:
    before = {service: server.containers(service) for service in SERVICES}, server.status()
    server.update("image", "carica", "v2")
    assert ({service: server.containers(service) for service in SERVICES}, server.status()) == before
    assert server.status()["previous"]["images"] == {}


def test_going_back_by_one_needs_no_git_and_can_be_done_again(server: Server) -> None:
    for tag in ("main", "v1", "v2"):
        server.update("image", "carica-ml", tag)
    server.sh("mv /srv/git/deploy.git /srv/git/away")
    try:
        for tag in ("v1", "main"):
            server.update("rollback", "by=jane")
            assert server.answers("/ml", f"carica-ml {tag}")
            assert server.status()["images"]["carica-ml"] == tag
    finally:
        server.sh("mv /srv/git/away /srv/git/deploy.git")


def test_the_same_request_twice_goes_back_once(server: Server) -> None:
    for tag in ("main", "v1", "v2"):
        server.update("image", "carica-ml", tag)
    for _ in range(2):
        said = server.update("rollback", "run=4xKq9")
        assert said.splitlines()[-1] == f"deployed commit {server.status()['commit']}"
        assert server.status()["images"]["carica-ml"] == "v1"
    assert [each["run"] for each in server.history()[-2:]] == ["4xKq9", "4xKq9"]
    server.update("rollback", "run=another")
    assert server.status()["images"]["carica-ml"] == "main"


def test_a_tag_that_moves_is_deployed_anew_and_gone_back_from(server: Server) -> None:
    server.update("image", "carica-ml", "main")
    before = server.status()["services"]["carica-ml"]
    name = apps.image("carica-ml", server.registry_port)
    assert before.startswith(f"{name}@sha256:")
    try:
        run("tag", ["docker", "tag", apps.build("carica-ml", "v9", port=server.registry_port), f"{name}:main"])
        with registry.login(server.registry_port) as env:
            run("push", ["docker", "push", f"{name}:main"], env=env)
        server.update("image", "carica-ml", "main")
        assert server.answers("/ml", "carica-ml v9")
        server.update("rollback")
        assert server.answers("/ml", "carica-ml main")
        assert server.status()["services"]["carica-ml"] == before
        # Nothing but an image of that name brings the moved tag back.
        server.update("image", "carica", "v1")
        server.update("commit", server.push({"VERSION": "beside a moved tag\n"}))
        assert server.status()["services"]["carica-ml"] == before
        server.update("image", "carica", "v2")
    finally:
        apps.publish("carica-ml", "main", port=server.registry_port)


def test_a_pushed_commit_replaces_the_service_whose_file_it_changes(server: Server) -> None:
    others = [server.containers("carica"), server.containers("carica-ml")]
    proxy = server.containers("proxy")
    # What looks like a variable of compose's is text in a file.
    commit = server.push({"haproxy.cfg": PROXY + "# $HOME ${NONE:-x} $$\n"})
    server.update("commit", commit, "by=jane")
    assert server.containers("proxy") != proxy
    assert [server.containers("carica"), server.containers("carica-ml")] == others
    assert server.status()["commit"] == commit
    assert server.answers("/", "carica v2")
    proxy = server.containers("proxy")
    server.update("commit", server.push({"README.md": "Nothing that runs.\n"}))
    assert server.containers("proxy") == proxy


def test_what_is_mounted_is_a_copy_by_content(server: Server) -> None:
    compose = "services: {web: {image: 'haproxy:3.4.7-alpine', volumes: ['./page:/page', './other:/other']}}\n"

    def sources(commit: str) -> list[str]:
        """Make a release, and look into it without running it: this engine does not see the server's files."""
        script = 'HOME=/var/lib/carica runuser -u deploy -- carica-release "$1" main commit "$2"'
        release = server.sh(script, REPOSITORY, commit).strip()
        shown = json.loads(
            server.sh(f"cat /var/lib/carica/releases/{release}/compose.json; rm -r /var/lib/carica/releases/{release}")
        )
        return [each["source"] for each in shown["services"]["web"]["volumes"]]

    before = server.sh("git -C /srv/work rev-parse HEAD").strip()
    one = sources(server.push({"compose.yaml": compose, "page/index.html": "one", "other": "same"}))
    two = sources(server.push({"page/index.html": "two"}))
    assert one[0] != two[0]
    assert one[1] == two[1]
    assert server.run("cat", f"{one[0]}/index.html") == "one"
    assert server.run("cat", f"{two[0]}/index.html") == "two"
    server.sh("chmod +x /srv/work/other")
    three = sources(server.push({}))
    assert three[0] == two[0]
    assert [server.run("stat", "-c", "%a", each[1]) for each in (two, three)] == ["644\n", "755\n"]
    server.sh("cd /srv/work; git reset --quiet --hard $1; git push --quiet --force origin HEAD:main", before)


def test_three_pushes_at_once_are_deployed_one_after_the_other_and_the_last_one_stays(server: Server) -> None:
    commits = [server.push({"VERSION": f"{number}\n"}) for number in range(3)]
    count = len(server.history())
    runs = [server.start_update("commit", commit) for commit in commits]
    assert [run.wait(300) for run in runs] == [0, 0, 0]
    assert server.status()["commit"] == commits[-1]
    records = server.history()[count:]
    assert sorted(each["what"] for each in records) == sorted(f"commit {commit}" for commit in commits)
    assert {each["outcome"] for each in records} <= {"deployed", "superseded"}


def test_a_late_delivery_of_an_older_commit_does_not_go_back(server: Server) -> None:
    older, newer = server.push({"VERSION": "a\n"}), server.push({"VERSION": "b\n"})
    server.update("commit", newer)
    assert "superseded" in server.update("commit", older)
    assert server.status()["commit"] == newer
    assert server.history()[-1]["outcome"] == "superseded"


def test_old_releases_go_with_their_images_and_no_others(server: Server) -> None:
    old = apps.publish("carica-ml", "v3", port=server.registry_port)
    server.update("image", "carica-ml", "v3")
    release = server.status()["release"]
    for tag in ("v1", "v2"):
        server.update("image", "carica-ml", tag)
    gone = run("image", ["docker", "image", "inspect", "--format", "{{.Id}}", old]).strip()
    before = set(run("images", ["docker", "images", "--quiet", "--no-trunc"]).split())
    server.sh("touch -d '8 days ago' /var/lib/carica/releases/*")
    server.update("current")
    left = server.sh("ls /var/lib/carica/releases").split()
    assert release not in left
    assert {server.status()["release"], server.status()["previous"]["release"]} <= set(left)
    assert gone in before
    assert gone not in run("images", ["docker", "images", "--quiet", "--no-trunc"]).split()
    server.update("rollback")
    assert server.answers("/ml", "carica-ml v1")
