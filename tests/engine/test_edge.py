"""The edge alone: what its volume holds, which webhooks it takes, and what of Kestra it shows to people."""

import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from components.haproxy import REMEMBERED
from components.job import JobError, JobProvider
from lab import github
from tests.edge_alone import HOOK, Edge, new_edge, new_key, new_secret

HOUR = 3600


@pytest.fixture(scope="module")
def fresh() -> Iterator[Edge]:
    """An edge that never was configured."""
    with new_edge() as edge:
        yield edge


@pytest.fixture(scope="module")
def started(fresh: Edge) -> Edge:
    """An edge that serves."""
    fresh.configure(new_key(), new_secret())
    fresh.start()
    return fresh


@pytest.fixture
def edge(started: Edge) -> Edge:
    """The same for each test, which remembers nothing of the one before."""
    started.forget()
    return started


def test_the_first_job_has_nothing_to_remember(fresh: Edge) -> None:
    fresh.configure("the-first-key-of-all-keys", new_secret())
    accepted = fresh.accepted()
    assert [value for value, _ in accepted["key"]] == ["the-first-key-of-all-keys"]
    assert len(accepted["secret"]) == 1


def test_a_delivery_reaches_kestra_with_the_key_that_only_the_edge_knows(edge: Edge) -> None:
    key, secret = new_key(), new_secret()
    edge.configure(key, secret)
    answer = edge.deliver(key, secret)
    assert answer.status_code == 200
    inner = answer.text.removeprefix(HOOK)
    assert inner != key
    assert len(bytes.fromhex(inner)) == 32
    assert edge.deliver(f"{key}?a=b", secret).text == f"{HOOK}{inner}?a=b"
    assert edge.deliver(inner, secret).status_code == 404
    edge.configure(new_key(), secret)
    assert edge.deliver(key, secret).text == f"{HOOK}{inner}"


def test_a_key_that_is_not_quite_right_is_a_404_whoever_signed(edge: Edge) -> None:
    key, secret = new_key(), new_secret()
    edge.configure(key, secret)
    for wrong in (new_key(), key[:-1], key + "x", key.swapcase(), "x" * 256, "", f"{key}/", f"{key}/more"):
        assert edge.deliver(wrong, secret).status_code == 404, wrong
        assert edge.deliver(wrong, new_secret()).status_code == 404, wrong
    assert edge.deliver(key, new_secret()).status_code == 403


@pytest.mark.parametrize("end", ["%00", "/%zz", "/%25zz", "/%25", "%2"])
def test_a_path_that_cannot_be_decoded_is_no_way_around_the_checks(edge: Edge, end: str) -> None:
    key, secret = new_key(), new_secret()
    edge.configure(key, secret)
    inner = edge.deliver(key, secret).text.removeprefix(HOOK)
    for each in (key, inner, "x"):
        assert edge.client.post(HOOK + each + end, content=b"{}").status_code in (400, 404)
    assert edge.status("/ui/100%25") == 200


def test_old_and_new_are_taken_for_an_hour_and_then_the_new_alone(edge: Edge) -> None:
    (key, secret), (later_key, later_secret) = (new_key(), new_secret()), (new_key(), new_secret())
    edge.configure(key, secret)
    edge.configure(later_key, later_secret)
    accepted = edge.accepted()
    for what in ("key", "secret"):
        assert accepted[what][0][1] > 100 * 365 * 24 * HOUR
        assert HOUR - 30 < accepted[what][1][1] <= HOUR
    for each in (key, later_key):
        for signer in (secret, later_secret):
            assert edge.deliver(each, signer).status_code == 200
        assert edge.deliver(each, new_secret()).status_code == 403
    edge.let_the_hour_pass()
    assert edge.deliver(key, later_secret).status_code == 404
    assert edge.deliver(later_key, secret).status_code == 403
    assert edge.deliver(later_key, later_secret).status_code == 200


def test_what_was_replaced_keeps_its_own_hour_over_other_changes(edge: Edge) -> None:
    first, second, third, secret = new_key(), new_key(), new_key(), new_secret()
    edge.configure(first, secret)
    edge.configure(second, secret)
    since = edge.inside("grep -F -e " + first + " /usr/local/etc/haproxy/accepted")
    time.sleep(1)
    edge.configure(second, secret)
    edge.configure(third, secret)
    assert edge.inside("grep -F -e " + first + " /usr/local/etc/haproxy/accepted") == since
    assert [value for value, _ in edge.accepted()["key"][:3]] == [third, second, first]
    # An `up` whose hooks did not move, and that was tried again with another key: hooks may have any of the three.
    assert {edge.deliver(each, secret).status_code for each in (first, second, third)} == {200}


def test_a_return_to_the_old_value_is_a_rotation_like_any_other(edge: Edge) -> None:
    key, other, secret = new_key(), new_key(), new_secret()
    edge.configure(key, secret)
    edge.configure(other, secret)
    edge.configure(key, secret)
    assert [value for value, _ in edge.accepted()["key"][:2]] == [key, other]
    edge.let_the_hour_pass()
    assert edge.deliver(key, secret).status_code == 200
    assert edge.deliver(other, secret).status_code == 404


def test_what_is_past_its_hour_is_forgotten_by_the_next_job(edge: Edge) -> None:
    key, secret = new_key(), new_secret()
    edge.configure(new_key(), new_secret())
    edge.configure(key, secret)
    edge.inside("sed -i -E 's/^(key|secret) 1[0-9]*/\\1 1/' /usr/local/etc/haproxy/accepted")
    edge.configure(key, secret)
    assert [value for value, _ in edge.accepted()["key"]] == [key]
    assert len(edge.accepted()["secret"]) == 1
    assert "key1" not in edge.inside("grep set-var.proc /usr/local/etc/haproxy/haproxy.cfg")


def test_more_than_are_remembered_are_refused_before_anything_changes(edge: Edge) -> None:
    taken, secret = [new_key() for _ in range(REMEMBERED)], new_secret()
    for key in taken:
        edge.configure(key, secret)
    with pytest.raises(JobError, match=f"more than {REMEMBERED} keys would be taken at once.*within the hour"):
        edge.configure(new_key(), secret)
    assert {edge.deliver(key, secret).status_code for key in taken} == {200}


def test_what_leaked_is_revoked_at_once_as_the_readme_says(edge: Edge) -> None:
    """The edge goes on taking it until the next job, and not for an hour after it."""
    (key, secret), (later_key, later_secret) = (new_key(), new_secret()), (new_key(), new_secret())
    edge.configure(key, secret)
    edge.forget()
    assert edge.deliver(key, secret).status_code == 200
    edge.configure(later_key, later_secret)
    assert edge.deliver(key, later_secret).status_code == 404
    assert edge.deliver(later_key, secret).status_code == 403
    assert edge.deliver(later_key, later_secret).status_code == 200


def test_an_empty_value_on_the_volume_lets_nobody_in(edge: Edge) -> None:
    key, secret = new_key(), new_secret()
    edge.configure(new_key(), new_secret())
    edge.configure(key, secret)
    edge.reload(r"s/\(proc.[a-z]*1\) str(.*)/\1 str(),concat()/")
    assert "proc.secret1 str()" in edge.inside("cat /usr/local/etc/haproxy/haproxy.cfg")
    assert edge.deliver(key, "").status_code == 403
    assert edge.deliver("", secret).status_code == 404
    assert edge.deliver(key, secret).status_code == 200


def prefixes(script: str) -> list[str]:
    """What of a script has run when it is killed: all of its beginnings that are a script."""
    lines = script.splitlines(keepends=True)
    cut = ["".join(lines[:number]) for number in range(len(lines))]
    return [
        each for each in cut if subprocess.run(["sh", "-n"], input=each, text=True, capture_output=True).returncode == 0
    ]


@pytest.mark.parametrize("tried_again", ["the same", "another"])
def test_a_job_killed_between_any_two_lines_ends_in_the_same_place(edge: Edge, tried_again: str) -> None:
    cuts = prefixes(edge.job("configuration", new_key(), new_secret())["script"])
    assert len(cuts) > 10
    before = new_key(), new_secret()
    edge.configure(*before)
    for cut in cuts:
        wanted = new_key(), new_secret()
        with pytest.raises(JobError, match="137"):
            JobProvider().create(edge.job("configuration", *wanted) | {"script": f"{cut}\nexit 137"})
        assert edge.deliver(*before).status_code == 200
        wanted = wanted if tried_again == "the same" else (new_key(), new_secret())
        edge.configure(*wanted)
        accepted = edge.accepted()
        assert [value for value, _ in accepted["key"][:2]] == [wanted[0], before[0]]
        assert HOUR - 30 < accepted["key"][1][1] <= HOUR
        assert edge.deliver(*before).status_code == 200
        assert edge.deliver(*wanted).status_code == 200
        before = wanted
        edge.forget_all_but_what_is_in_force()


def test_a_broken_configuration_is_refused_in_haproxys_words_and_changes_nothing(edge: Edge) -> None:
    before, wanted = (new_key(), new_secret()), (new_key(), new_secret())
    edge.configure(*before)
    kept = edge.inside("cd /usr/local/etc/haproxy; cat haproxy.cfg accepted")
    broken = edge.job("configuration", *wanted)
    broken["files"]["/new/haproxy.cfg"] += "    garbage here\n"
    with pytest.raises(JobError, match="unknown keyword 'garbage'") as refused:
        JobProvider().create(broken)
    assert wanted[0] not in str(refused.value)
    assert edge.inside("cd /usr/local/etc/haproxy; cat haproxy.cfg accepted") == kept
    assert edge.deliver(*before).status_code == 200
    assert edge.deliver(*wanted).status_code == 404


def test_a_delivery_is_taken_once_even_if_its_secret_was_changed_meanwhile(edge: Edge) -> None:
    key, secret, body = new_key(), new_secret(), b'{"id": "taken once"}'
    edge.configure(key, secret)
    assert edge.deliver(key, secret, body).text != "duplicate ignored"
    assert edge.deliver(key, secret, body).text == "duplicate ignored"
    edge.configure(key, new_secret())
    assert edge.deliver(key, secret, body).text == "duplicate ignored"


def test_a_delivery_that_kestra_did_not_take_may_come_again(edge: Edge) -> None:
    key, secret, body = new_key(), new_secret(), b'{"id": "not taken"}'
    edge.configure(key, secret)
    hook = HOOK.replace("a_flow", "broken")
    assert [edge.deliver(key, secret, body, hook).status_code for _ in range(2)] == [500, 500]
    assert edge.deliver(key, secret, body).text.startswith(HOOK)


def test_no_key_reaches_the_log_however_it_is_written(edge: Edge) -> None:
    key, secret = new_key(), new_secret()
    edge.configure(key, secret)
    inner = edge.deliver(key, secret).text.removeprefix(HOOK)
    shapes = [HOOK, HOOK.replace("/prod", "//prod"), HOOK.replace("webhook", "%77ebhook"), HOOK.replace("prod/", "")]
    shapes += [HOOK.upper(), HOOK.replace("/main", ""), HOOK + "more/"]
    between = ("/./", "/x/../", "/%2e%2e/", ";x=1/", "%3bx/", "\\", "%5c", "%255c", "%ef%bc%8f", "%c0%af", "/%c1%b7")
    shapes += [HOOK.replace("/webhook", f"{each}webhook") for each in between]
    for shape in shapes:
        for end in ("", "/", "/more", "?a=b", "%00", "/%zz"):
            edge.raw(f"POST {shape}{key}{end} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    edge.client.post(HOOK + key, headers={"Host": "elsewhere.example"})
    shown = edge.log()
    told = {(each["method"], each["path"], each["status"]) for each in edge.requests()}
    assert ("POST", f"{HOOK}***", 200) in told
    assert ("POST", "/***/webhook/***", 404) in told
    assert key not in shown
    assert inner not in shown


def test_only_haproxys_user_reads_what_is_on_the_volume(edge: Edge) -> None:
    edge.configure(new_key(), new_secret())
    shown = edge.inside("cd /usr/local/etc/haproxy; stat -c '%U %a %n' haproxy.cfg accepted tls/*", user="root")
    for line in shown.splitlines():
        owner, mode, name = line.split()
        assert (owner, mode[-2:]) == ("haproxy", "00"), name


@pytest.mark.parametrize("path", ["/", "/ui", "/ui/flows", "/favicon.ico", "/api/v1/main/flows/search?size=5"])
def test_kestras_pages_and_api_are_served(edge: Edge, path: str) -> None:
    assert edge.client.get(path).text == path


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/health",
        "/prometheus",
        "/ping",
        "/env",
        "/proxy",
        "/haproxy?stats",
        "/uix",
        "/apis/x",
        "//ui/",
        "/x",
    ],
)
def test_nothing_else_reaches_kestra(edge: Edge, path: str) -> None:
    answer = edge.client.get(httpx.URL(f"https://localhost:{edge.port}").copy_with(raw_path=path.encode()))
    assert (answer.status_code, answer.text) == (404, "")


@pytest.mark.parametrize(
    "path", ["/ui/../metrics", "/ui/..", "/ui/./x", "/ui/%2e%2e/metrics", "/ui/%252e%252e/metrics"]
)
def test_dot_segments_are_refused(edge: Edge, path: str) -> None:
    assert edge.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) == 400


BODY = b'{"id": "of the refused"}'
REFUSED: dict[str, tuple[int, str]] = {
    "no signature": (403, "POST {hook} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n{body}"),
    "a signature of another body": (403, "POST {hook} HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n{other}"),
    "two signatures": (403, "POST {hook} HTTP/1.1\r\n{head}{signature}Content-Length: {size}\r\n\r\n{body}"),
    "a signature cut short": (403, "POST {hook} HTTP/1.1\r\n{cut}Content-Length: {size}\r\n\r\n{body}"),
    "GET": (405, "GET {hook} HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n{body}"),
    "PUT": (405, "PUT {hook} HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n{body}"),
    "chunked": (411, "POST {hook} HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n{hex}\r\n{body}\r\n0\r\n\r\n"),
    "no length": (411, "POST {hook} HTTP/1.1\r\n{head}\r\n"),
    "two lengths": (0, "POST {hook} HTTP/1.1\r\n{head}Content-Length: {size}\r\nContent-Length: 1\r\n\r\n{body}"),
    "more than GitHub sends": (413, "POST {hook} HTTP/1.1\r\n{head}Content-Length: 26214401\r\n\r\n{body}"),
    "a longer route": (404, "POST {hook}/more HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n{body}"),
    "an encoded path": (404, "POST {encoded} HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n{body}"),
    "a path encoded twice": (404, "POST {twice} HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n{body}"),
    "a doubled slash": (404, "POST /{hook} HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n{body}"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_delivery_that_is_not_githubs_is_refused(edge: Edge, what: str) -> None:
    key, secret = new_key(), new_secret()
    edge.configure(key, secret)
    expected, request = REFUSED[what]
    signature = f"X-Hub-Signature-256: {github.signature(secret, BODY)}\r\n"
    given = {
        "hook": HOOK + key,
        "encoded": (HOOK + key).replace("webhook", "%77ebhook"),
        "twice": (HOOK + key).replace("webhook", "%2577ebhook"),
        "signature": signature,
        "head": f"Host: localhost\r\n{signature}",
        "cut": f"Host: localhost\r\n{signature[:-4]}\r\n",
        "size": len(BODY),
        "hex": f"{len(BODY):x}",
        "body": BODY.decode(),
        "other": BODY.decode().replace("refused", "forgery"),
    }
    assert edge.raw(request.format(**given).encode()) == expected
    # The same, as GitHub sends it, is taken: what was refused reached nobody and left no mark.
    assert edge.deliver(key, secret, BODY).text.startswith(HOOK)
