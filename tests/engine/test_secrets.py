"""Planted secrets are searched for wherever a person or a program could read them."""

import base64
import hashlib
import hmac
import json
import subprocess

import pytest

from lab import github_host, keys
from tests.estate import Estate

SETTINGS = [
    "postgresPassword",
    "kestraPassword",
    "encryptionKey",
    "githubToken",
    "kestraGitToken",
    "kestraStatusToken",
    "notifyUrl",
    "deployGitKey",
    "webhookKey",
    "webhookSecret",
    "kestraSshKey",
    "adminSshKey",
    "tlsCertificate",
]
NEW = ["postgresPassword", "kestraPassword", "githubToken", "kestraGitToken", "webhookKey", "webhookSecret"]
NEW += ["kestraStatusToken"]
NEW += ["databases[0].password", "ciSecrets.PULUMI_CONFIG_PASSPHRASE"]


@pytest.fixture(scope="module")
def planted(desk: Estate) -> dict[str, str]:
    """Setting → a stretch of its value that nothing else would hold."""
    shown = json.loads(desk.pulumi("config", "--json", "--show-secrets").text)
    values = {key: shown[f"carica-kestra:{key}"]["value"] for key in SETTINGS}
    values["databases"] = shown["carica-kestra:databases"]["objectValue"][0]["password"]
    values["ciSecrets"] = shown["carica-kestra:ciSecrets"]["objectValue"]["PULUMI_CONFIG_PASSPHRASE"]
    encryption_key = base64.b64decode(values["encryptionKey"])
    values["Kestra's webhook key"] = hmac.new(encryption_key, b"webhook key", hashlib.sha256).hexdigest()
    return {key: _stretch(value) for key, value in values.items()}


def _stretch(value: str) -> str:
    """A part of a secret that is its own: keys have a head that all keys share, and several lines."""
    return value.splitlines()[-3 if "KEY-----" in value else 0][-40:]


def assert_absent(planted: dict[str, str], text: str, where: str) -> None:
    """Fail, naming the setting and not its value, if a planted secret is in `text`."""
    found = [key for key, value in planted.items() if value in text or json.dumps(value)[1:-1] in text]
    assert found == [], f"{where} holds {found}"


def test_the_search_finds_what_is_there(desk: Estate, planted: dict[str, str]) -> None:
    """A search that cannot find anything would prove nothing: laid open, the state holds what resources are given."""
    shown = desk.pulumi("stack", "export", "--show-secrets").text
    found = {key for key, value in planted.items() if value in shown or json.dumps(value)[1:-1] in shown}
    assert found >= {
        "postgresPassword",
        "kestraPassword",
        "webhookSecret",
        "databases",
        "kestraSshKey",
        "adminSshKey",
        "githubToken",
        "deployGitKey",
        "ciSecrets",
    }


def test_secrets_are_encrypted_in_the_state(desk: Estate, planted: dict[str, str]) -> None:
    assert_absent(planted, desk.pulumi("stack", "export").text, "the state")


def test_secrets_are_encrypted_in_the_stacks_file(desk: Estate, planted: dict[str, str]) -> None:
    assert_absent(planted, (desk.project / f"Pulumi.{desk.name}.yaml").read_text(), "the stack's file")


def test_secrets_are_not_in_the_outputs(desk: Estate, planted: dict[str, str]) -> None:
    assert_absent(planted, desk.pulumi("stack", "output").text, "stack output")
    assert_absent(planted, desk.pulumi("stack", "output", "--json").text, "stack output --json")


def test_secrets_are_not_in_a_preview_that_changes_all_of_them(desk: Estate, planted: dict[str, str]) -> None:
    file = desk.project / f"Pulumi.{desk.name}.yaml"
    before = file.read_text()
    new = {"encryptionKey": keys.encryption_key(), "tlsCertificate": keys.new_certificate("localhost")}
    new["notifyUrl"] = "https://chat.example.com/hooks/planted_Anew_of_the_preview"
    new |= {key: f"planted_Anew_{number}_of_the_preview" for number, key in enumerate(NEW)}
    new |= {key: keys.ssh_key(f"planted_{key}").private for key in ("kestraSshKey", "adminSshKey", "deployGitKey")}
    desk.github.token(github_host.ADMINISTERS, token=new["githubToken"])
    for path, value in new.items():
        desk.set(path, value, secret=True)
    shown = desk.pulumi("preview", "--diff").text + desk.pulumi("preview", "--json").text
    file.write_text(before)
    assert_absent(planted, shown, "preview")
    assert_absent({key: _stretch(value) for key, value in new.items()}, shown, "preview, of what is new,")
    assert "[secret]" in shown
    desk.expect_no_changes()


def test_secrets_are_not_in_the_output_of_an_up_that_changes_one(desk: Estate, planted: dict[str, str]) -> None:
    old = desk.setting("webhookKey")
    desk.set("webhookKey", "planted-in-the-webhook-key", secret=True)
    outcome = desk.up("--show-replacement-steps")
    assert_absent({**planted, "new": "planted-in-the-webhook-key"}, outcome.text, "up")
    desk.set("webhookKey", old, secret=True)
    desk.up()


@pytest.mark.parametrize("part", ["postgres", "kestra", "haproxy"])
def test_secrets_are_not_in_labels_or_argv(desk: Estate, planted: dict[str, str], part: str) -> None:
    shown = desk.inspect(part)
    words = [shown["Config"]["Labels"], shown["Config"]["Cmd"], shown["Config"]["Entrypoint"], shown["Args"]]
    assert_absent(planted, json.dumps(words), f"docker inspect of {part}")
    processes = subprocess.run(
        ["docker", "top", f"{desk.prefix}-{part}", "-eo", "pid,args"], text=True, stdout=subprocess.PIPE, check=True
    ).stdout
    assert_absent(planted, processes, f"argv in {part}")


@pytest.mark.parametrize("part", ["postgres", "kestra", "haproxy", "deploy-host", "github"])
def test_secrets_are_not_in_the_logs(desk: Estate, planted: dict[str, str], part: str) -> None:
    shown = subprocess.run(
        ["docker", "logs", f"{desk.prefix}-{part}"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    ).stdout
    assert_absent(planted, shown, f"the log of {part}")


def test_jobs_leave_no_container_behind(desk: Estate) -> None:
    left = subprocess.run(
        ["docker", "ps", "--all", "--filter", "label=carica.job", "--format", '{{.Label "carica.job"}}'],
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.split()
    assert [job for job in left if job.startswith(f"{desk.prefix}-")] == []
