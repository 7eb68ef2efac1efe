"""Every rule of the settings: what is refused, in which words, and that all of it is said at once."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic.alias_generators import to_camel

from components.settings import Settings, SettingsError, parse
from components.settings.reading import plain_secrets
from lab import keys
from tests.unit.valid import HOST_KEY, OPTIONAL_SECRETS, SECRET_KEYS, private_key, values, x25519

ROOT = Path(__file__).parent.parent.parent


def problems(**changed: Any) -> str:
    """What is said about otherwise valid settings with `changed`."""
    with pytest.raises(SettingsError) as refused:
        parse(values(**changed), SECRET_KEYS | OPTIONAL_SECRETS)
    return str(refused.value)


def host(**changed: Any) -> list[dict[str, Any]]:
    """The valid deploy host with `changed`; None leaves a field out."""
    complete = json.loads(values()["deployHosts"])[0] | changed
    return [{key: value for key, value in complete.items() if value is not None}]


def test_valid_settings_are_taken_with_their_defaults() -> None:
    settings = parse(values(), SECRET_KEYS)
    assert settings.url == "https://localhost:8443"
    assert settings.protect_data
    assert settings.flows == tuple(sorted(path.stem for path in (ROOT / "flows").glob("*.yml")))


def test_text_is_read_as_the_type_the_setting_has() -> None:
    settings = parse(values(httpsPort="443", protectData="false", kestraMemory="2048"), SECRET_KEYS)
    assert (settings.url, settings.protect_data, settings.kestra_memory) == ("https://localhost", False, 2048)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("kestraImage", "kestra/kestra", "has no tag"),
        ("kestraImage", "registry.example:5000/kestra", "has no tag"),
        ("postgresImage", "postgres:latest", "`latest` is whatever was pushed last"),
        ("haproxyImage", "haproxy@sha256:123", "the digest is not sha256"),
        ("kestraUser", "admin", "is not an e-mail address"),
        ("kestraUser", "a@b", "is not an e-mail address"),
        ("kestraPassword", "Short-1", "must have 8 to 256 characters"),
        ("kestraPassword", "Aa1" * 100, "must have 8 to 256 characters"),
        ("kestraPassword", "no-upper-case-1", "needs an upper-case letter"),
        ("kestraPassword", "NO-LOWER-CASE-1", "a lower-case letter"),
        ("kestraPassword", "No-digit-at-all", "and a digit"),
        ("kestraPassword", "Passw0rd-${user}", "no `${`"),
        ("webhookSecret", "s" * 19, "is shorter than 20 characters"),
        ("webhookSecret", "", "is not set"),
        ("webhookKey", "k" * 19, "must be 20 to 256 letters"),
        ("webhookKey", "k" * 24 + "/../", "must be 20 to 256 letters"),
        ("encryptionKey", "not base64!", "is not base64"),
        ("encryptionKey", "c2hvcnQ=", "holds 5 bytes, not the 32"),
        ("postgresPassword", "short", "is shorter than 12 characters"),
        ("githubToken", "no token", "does not look like a GitHub token"),
        ("adminSshKey", "ssh-ed25519 AAAA", "is not an SSH private key"),
        ("kestraSshKey", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "is not an SSH private key"),
        ("kestraSshKey", private_key(b"a passphrase"), "has a passphrase"),
        ("tlsCertificate", "-----BEGIN CERTIFICATE-----", "is not a PEM certificate chain"),
        ("httpPort", "0", "greater than or equal to 1"),
        ("httpsPort", "65536", "less than or equal to 65535"),
        ("httpsPort", "eight", "valid integer"),
        ("httpsPort", "8080", "is 8080, and so is httpPort"),
        ("bindAddress", "::1", "IPv4"),
        ("sourceLimit", "49", "greater than or equal to 50"),
        ("hooksFromGithubOnly", "perhaps", "valid boolean"),
        ("statsPort", "8443", "is 8443, which httpPort or httpsPort takes"),
        ("dockerHost", "/var/run/docker.sock", "must begin with unix://"),
        ("flows", ["gh_push_deploymnt"], "names gh_push_deploymnt, which is not in flows/"),
        ("flows", ["sync_from_git", "gh_push_deployment"], "names gh_push_deployment and not deploy, which it calls"),
        ("databases", [{"name": "carica", "password": "x" * 12}], "has no database `kestra`"),
        ("databases", [{"name": "kestra", "password": "x" * 12}] * 2, "names kestra twice"),
        ("deployHosts", [], "names no server"),
        ("deployHosts", "no JSON", "is not a list"),
        ("repositories", "no JSON", "is not a list"),
        ("githubApp", "no JSON", "is not an object"),
        ("ciSecrets", "no JSON", "is not an object"),
        ("domain", "127.0.0.1", "is an address"),
        ("dockerHost", "tcp://10.0.0.1:2375", "must begin with unix:/// or ssh://"),
        ("postgresImage", "postgres:18.1", "is not PostgreSQL 17"),
        ("postgresImage", "postgres:170", "is not PostgreSQL 17"),
        ("haproxyMemory", "319", "greater than or equal to 320"),
        ("tlsCa", "junk", "is not the PEM text of a certificate"),
        ("kestraUser", "a:b@example.com", "is not an e-mail address"),
        ("kestraUser", "${x}@example.com", "is not an e-mail address"),
        ("kestraPassword", "Pässword-1234", "printable ASCII"),
        ("postgresPassword", "pässword-of-twelve", "printable ASCII"),
        ("kestraSshKey", x25519(), "no SSH server takes"),
        ("imageWorkflow", " ", "is not the name of a workflow"),
        ("defaultBranch", "kestra/edits", "is not a branch name without `/`"),
        ("gitUrl", "http://git.example.com", "is not an https:// address"),
        ("gitUrl", "https://user:token@git.example.com", "is not an https:// address"),
        ("kestraStatusToken", "no token", "does not look like a GitHub token"),
        ("notifyUrl", "http://chat.example.com/hook", "is not an https:// address"),
        ("notifyUrl", "https://user:password@chat.example.com/hook", "is not an https:// address"),
        ("notifyUrl", "chat.example.com", "is not an https:// address"),
        ("notifyUrl", "https://chat.example.com/a b", "is not an https:// address"),
    ],
)
def test_a_fault_is_named_with_its_key_and_the_mending_command(key: str, value: Any, fault: str) -> None:
    said = problems(**{key: value})
    assert said.startswith("the stack's settings have 1 problem; nothing was changed.")
    assert f"carica-kestra:{key} " in said
    assert fault in said
    assert "pulumi config " in said


@pytest.mark.parametrize(
    ("changed", "path", "fault"),
    [
        ({"user": None}, "deployHosts[0].user", "is not set"),
        ({"hostKey": None}, "deployHosts[0].hostKey", "is not set"),
        ({"hostKey": "web.example.com ssh-ed25519 AAAA"}, "deployHosts[0].hostKey", "is not a line of ssh-keyscan's"),
        ({"user": "root; rm"}, "deployHosts[0].user", "is not a Unix user name"),
        ({"address": "-oProxyCommand=x"}, "deployHosts[0].address", "is not a host name"),
        ({"repository": "--upload-pack=x"}, "deployHosts[0].repository", "is not a Git URL"),
        ({"hostKey": "ssh-ed25519 AAAA"}, "deployHosts[0].hostKey", "is not a line of ssh-keyscan's"),
        ({"user": "root"}, "deployHosts[0].user", "is root"),
        ({"adminUser": "deploy"}, "deployHosts[0].adminUser", "is `user` as well"),
        ({"repository": "https://x/';id;'"}, "deployHosts[0].repository", "is not a Git URL"),
        ({"repository": "https://user:token@example.com/x"}, "deployHosts[0].repository", "is not a Git URL"),
        ({"hostkey": HOST_KEY}, "deployHosts[0].hostkey", "is not a setting"),
        ({"registry": {"username": "x"}}, "deployHosts[0].registry.server", "is not set"),
        (
            {"registry": {"server": "a b", "username": "x"}},
            "deployHosts[0].registry.server",
            "is not host or host:port",
        ),
        (
            {"registry": {"server": "a", "username": "-p"}},
            "deployHosts[0].registry.username",
            "is not a name to log in",
        ),
        ({"environment": {"A": "it's"}}, "deployHosts[0].environment.A", "holds a line break, a control character"),
        ({"environment": {"A B": "x"}}, "deployHosts[0].environment.A B", "is not the name of a variable"),
        ({"healthSeconds": 900}, "deployHosts[0].healthSeconds", "Input should be less"),
        ({"kestraFrom": ["*"]}, "deployHosts[0].kestraFrom[0]", "is no address"),
        ({"takes": ["commit"]}, "deployHosts[0].takes[0]", "Input should be 'commits', 'branch' or 'versions'"),
        ({"takes": ["branch", "branch"]}, "deployHosts[0].takes", "names branch twice"),
    ],
)
def test_a_fault_inside_a_deploy_host_is_named_by_its_path(changed: dict[str, Any], path: str, fault: str) -> None:
    said = problems(deployHosts=host(**changed))
    assert f"carica-kestra:{path} {fault}" in said
    assert f"--path 'carica-kestra:{path}'" in said


def two_hosts(**changed: Any) -> list[dict[str, Any]]:
    """The valid deploy host, and a second one with `changed`."""
    return host() + host(**{"name": "staging", "address": "staging.example.com", **changed})


def test_deploy_hosts_are_a_list_in_which_each_has_a_name_of_its_own() -> None:
    hosts = parse(values(deployHosts=two_hosts()), SECRET_KEYS).deploy_hosts
    assert [each.name for each in hosts] == ["web", "staging"]
    said = problems(deployHosts=two_hosts(name="web"))
    assert "have 1 problem;" in said
    assert "carica-kestra:deployHosts[1].name is web, which the list has already" in said


def test_every_deploy_host_fetches_what_is_pushed() -> None:
    said = problems(deployHosts=two_hosts(repository="git@github.com:centaurin/another.git"))
    assert "deployHosts[1].repository is not centaurin/carica-deploy, whose pushes are deployed" in said
    assert "deployHosts[0]" not in said


def test_flows_are_told_all_deploy_hosts_in_their_order_with_what_they_take() -> None:
    chosen = two_hosts(port=2222, takes=["branch"])
    told = json.loads(parse(values(deployHosts=chosen), SECRET_KEYS).flow_variables["deploy_hosts"])
    assert list(told) == ["web", "staging"]
    web = {"address": "web.example.com", "port": "22", "user": "deploy", "takes": ["commits", "branch", "versions"]}
    assert told["web"] == web
    assert told["staging"] == {
        "address": "staging.example.com",
        "port": "2222",
        "user": "deploy",
        "takes": ["branch"],
    }


def test_kestra_trusts_each_deploy_host_by_its_own_key() -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    settings = parse(values(deployHosts=two_hosts(hostKey=other)), SECRET_KEYS)
    assert settings.known_hosts == (f"web.example.com {HOST_KEY}", f"staging.example.com {other}")


def test_flows_are_told_whether_there_is_somebody_to_tell_and_not_the_secrets() -> None:
    quiet = parse(values(), SECRET_KEYS).flow_variables
    assert (quiet["github_status"], quiet["notify"]) == ("false", "false")
    token, address = "x" * 40, "https://chat.example.com/hooks/T0/secret"
    told = {"kestraStatusToken": token, "notifyUrl": address}
    variables = parse(values(**told), SECRET_KEYS | set(told)).flow_variables
    assert (variables["github_status"], variables["notify"]) == ("true", "true")
    assert not any(secret in json.dumps(variables) for secret in told.values())


@pytest.mark.parametrize("key", ["kestraStatusToken", "notifyUrl"])
def test_an_optional_secret_in_plain_text_is_refused(key: str) -> None:
    given = {"kestraStatusToken": "x" * 40, "notifyUrl": "https://chat.example.com/hooks/T0/secret"}
    with pytest.raises(SettingsError, match=f"{key} is stored in plain text"):
        parse(values(**{key: given[key]}), SECRET_KEYS)


@pytest.mark.parametrize(
    ("urls", "api"),
    [
        ({}, "https://api.github.com"),
        ({"githubUrl": "https://acme.ghe.com"}, "https://api.acme.ghe.com"),
        ({"githubUrl": "https://git.example.com"}, "https://git.example.com/api/v3"),
        ({"githubUrl": "http://127.0.0.1:22080", "gitUrl": "http://github:8080"}, "http://github:8080/api/v3"),
    ],
)
def test_flows_call_githubs_api_where_kestra_reaches_it(urls: dict[str, str], api: str) -> None:
    assert parse(values(**urls, gitHostKeys=[HOST_KEY]), SECRET_KEYS).flow_variables["github_api"] == api


def test_a_certificate_for_another_name_is_refused() -> None:
    assert "tlsCertificate is for localhost, not for desk.example.com" in problems(domain="desk.example.com")
    wildcard = keys.new_certificate("*.example.com")
    assert parse(values(domain="desk.example.com", tlsCertificate=wildcard), SECRET_KEYS).domain == "desk.example.com"


def test_a_certificate_may_be_a_file_of_the_workstations(tmp_path: Path) -> None:
    file = tmp_path / "edge.pem"
    file.write_text(keys.new_certificate("localhost"))
    settings = parse(values(tlsCertificate=None, tlsCertificateFile=str(file)), SECRET_KEYS)
    assert settings.certificate.get_secret_value() == file.read_text()
    assert "PRIVATE" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "which cannot be read (FileNotFoundError)"),
        ("planted-secret", "which is not a PEM certificate chain followed by its private key"),
        (keys.new_certificate("desk.example.com"), "which is for desk.example.com, not for localhost"),
        (keys.new_certificate("localhost", days=-1), "which has expired on "),
    ],
)
def test_a_file_that_holds_no_certificate_for_the_domain_is_refused(
    content: str | None, fault: str, tmp_path: Path
) -> None:
    file = tmp_path / "edge.pem"
    if content:
        file.write_text(content)
    said = problems(tlsCertificate=None, tlsCertificateFile=str(file))
    assert "have 1 problem;" in said
    assert f"carica-kestra:tlsCertificateFile names {file}, {fault}" in said
    assert "planted-secret" not in said


ACME = {"directory": "https://acme-v02.api.letsencrypt.org/directory"}


def test_the_certificate_may_be_ordered() -> None:
    settings = parse(values(tlsCertificate=None, acme=ACME, domain="desk.example.com"), SECRET_KEYS)
    assert settings.acme
    assert settings.certificate.get_secret_value() == ""
    assert settings.expiring == ""


@pytest.mark.parametrize(
    ("changed", "path", "fault"),
    [
        ({"directory": "http://ca.example.com"}, "acme.directory", "is not an https:// address"),
        ({"directory": 'https://ca.example.com/"\n'}, "acme.directory", "is not an https:// address"),
        ({"email": "nobody"}, "acme.email", "is not an e-mail address"),
        ({"ca": "junk"}, "acme.ca", "is not the PEM text of a certificate"),
        ({"eab": "x"}, "acme.eab", "is not a setting"),
    ],
)
def test_a_fault_inside_acme_is_named_by_its_path(changed: dict[str, Any], path: str, fault: str) -> None:
    said = problems(tlsCertificate=None, acme=ACME | changed, domain="desk.example.com")
    assert "have 1 problem;" in said
    assert f"carica-kestra:{path} {fault}" in said


def test_no_ca_certifies_localhost() -> None:
    said = problems(tlsCertificate=None, acme=ACME)
    assert "have 1 problem;" in said
    assert "carica-kestra:acme is set for localhost" in said


def test_there_is_exactly_one_certificate(tmp_path: Path) -> None:
    file = tmp_path / "edge.pem"
    file.write_text(keys.new_certificate("desk.example.com"))
    ways: dict[str, Any] = {
        "tlsCertificateFile": str(file),
        "acme": ACME,
        "tlsCertificate": keys.new_certificate("desk.example.com"),
    }
    none = dict.fromkeys(ways)
    for one in ways:
        parse(values(**none | {one: ways[one]}, domain="desk.example.com"), SECRET_KEYS)
        for other in ways:
            if other != one:
                said = problems(**none | {one: ways[one], other: ways[other]}, domain="desk.example.com")
                assert "have 1 problem;" in said
                assert "keep one of the two\n      pulumi config rm " in said
    said = problems(**none)
    assert "have 1 problem;" in said
    assert "tlsCertificate is not set, nor is tlsCertificateFile or acme" in said


@pytest.mark.parametrize(("days", "warned"), [(20, True), (22, False)])
def test_a_certificate_that_people_must_renew_is_warned_of_three_weeks_before(days: int, warned: bool) -> None:
    settings = parse(values(tlsCertificate=keys.new_certificate("localhost", days=days)), SECRET_KEYS)
    assert bool(settings.expiring) is warned


@pytest.mark.parametrize("password", ["p" * 19, "a password with spaces", 'quote"quote"quote"quote'])
def test_a_password_that_would_not_stand_in_haproxys_configuration_is_refused(password: str) -> None:
    with pytest.raises(SettingsError, match="statsPassword must be 20 to 64 letters") as refused:
        parse(values(statsPassword=password), {*SECRET_KEYS, "statsPassword"})
    assert password not in str(refused.value)


@pytest.mark.parametrize(("name", "taken"), [("postgres", False), ("pg_x", False), ("user", True)])
def test_a_database_bears_no_name_of_postgresqls_own(name: str, taken: bool) -> None:
    given = [{"name": each, "password": "x" * 12} for each in ("kestra", name)]
    if taken:
        assert parse(values(databases=given), SECRET_KEYS).databases[1].name == name
    else:
        assert "databases[1].name is a name that PostgreSQL keeps for itself" in problems(databases=given)


def test_one_plain_secret_among_encrypted_ones_is_found(tmp_path: Path) -> None:
    """Pulumi counts the list as secret as a whole, so the file itself must be looked at."""
    file = tmp_path / "Pulumi.test.yaml"
    listed = [
        {"name": "kestra", "password": {"secure": "v1:x"}},
        {"name": "carica", "password": "plain"},
        {"name": "x"},
    ]
    ci = {"PULUMI_BACKEND_URL": {"secure": "v1:x"}, "PULUMI_ACCESS_TOKEN": "plain"}
    file.write_text(yaml.safe_dump({"config": {"carica-kestra:databases": listed, "carica-kestra:ciSecrets": ci}}))
    assert plain_secrets(file) == ["databases[1].password", "ciSecrets.PULUMI_ACCESS_TOKEN"]
    assert plain_secrets(tmp_path / "none.yaml") == []
    with pytest.raises(SettingsError, match=r"databases\[1\]\.password is stored in plain text"):
        parse(values(), SECRET_KEYS, ["databases[1].password"])


def test_a_missing_list_is_mended_by_its_first_entry() -> None:
    said = problems(databases=None, deployHosts=None)
    for command in ("databases[0].name' kestra", "deployHosts[0].name' web"):
        assert f"pulumi config set --path 'carica-kestra:{command} --stack " in said


@pytest.mark.parametrize("key", sorted(SECRET_KEYS - {"databases", "ciSecrets"}))
def test_a_missing_secret_is_named_with_a_command_that_keeps_it_out_of_argv(key: str) -> None:
    said = problems(**{key: None})
    assert f"carica-kestra:{key} is not set" in said
    assert f"| pulumi config set --secret 'carica-kestra:{key}'" in said


@pytest.mark.parametrize("key", sorted(SECRET_KEYS))
def test_a_secret_in_plain_text_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="is stored in plain text"):
        parse(values(), SECRET_KEYS - {key})


def test_a_plain_password_is_mended_by_a_command_for_that_password() -> None:
    with pytest.raises(SettingsError) as refused:
        parse(values(), SECRET_KEYS - {"databases"}, ["databases[0].password"])
    said = str(refused.value)
    assert "have 1 problem;" in said
    assert "carica-kestra:databases[0].password is stored in plain text" in said
    assert "| pulumi config set --secret --path 'carica-kestra:databases[0].password'" in said


def test_every_problem_is_listed_at_once() -> None:
    said = problems(
        kestraUser="admin", webhookSecret=None, httpPort="0", kestraImage="kestra", deployHosts=host(user=None)
    )
    assert "have 5 problems" in said
    for key in ("kestraUser", "webhookSecret", "httpPort", "kestraImage", "deployHosts[0].user"):
        assert f"carica-kestra:{key} " in said


def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant() -> None:
    said = problems(httpsPrt="443")
    assert "carica-kestra:httpsPrt is not a setting; did you mean httpsPort?" in said
    assert "pulumi config rm 'carica-kestra:httpsPrt'" in said


def test_no_refusal_repeats_a_secret() -> None:
    planted = "planted-secret"
    said = problems(kestraPassword=planted, webhookSecret=planted, encryptionKey=planted, adminSshKey=planted)
    assert "have 4 problems" in said
    assert planted not in said


def test_settings_do_not_show_secrets_when_printed() -> None:
    settings = parse(values(), SECRET_KEYS)
    assert "Kestra-login-1" not in repr(settings)
    assert "superuser-password" not in str(settings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(values(), SECRET_KEYS).http_port = 1


def test_the_known_hosts_line_names_a_port_that_is_not_22() -> None:
    assert parse(values(), SECRET_KEYS).deploy_hosts[0].known_hosts_line == f"web.example.com {HOST_KEY}"
    other = parse(values(deployHosts=host(port=2222)), SECRET_KEYS).deploy_hosts[0]
    assert other.known_hosts_line == f"[web.example.com]:2222 {HOST_KEY}"


def test_webhook_urls_are_of_the_flows_that_a_webhook_starts() -> None:
    urls = parse(values(), SECRET_KEYS).webhook_urls("key")
    assert set(urls) == {"gh_push_deployment", "gh_workflow_completed", "sync_from_git"}
    assert urls["sync_from_git"] == "https://localhost:8443/api/v1/main/executions/webhook/prod/sync_from_git/key"


def test_the_committed_production_stack_lacks_secrets_and_nothing_else() -> None:
    document = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"]
    given = {key.removeprefix("carica-kestra:"): value for key, value in document.items()}
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    with pytest.raises(SettingsError) as refused:
        parse(text, set())
    said = str(refused.value)
    missing = SECRET_KEYS - {"databases", "ciSecrets"} | {
        "databases[0].password",
        "databases[1].password",
        "deployHosts[0].hostKey",
        "ciSecrets.PULUMI_BACKEND_URL",
        "ciSecrets.DESK_SSH_KEY",
        "ciVariables.DESK_KNOWN_HOSTS",
    }
    assert f"have {len(missing)} problems" in said
    assert all(f"carica-kestra:{key} is not set" in said for key in missing)


def test_every_setting_is_described_to_pulumi_with_its_default() -> None:
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    fields = {to_camel(name): field for name, field in Settings.model_fields.items()}
    assert set(described) == set(fields)
    empty = {"string": "", "array": [], "object": {}}
    for key, field in fields.items():
        assert described[key]["description"].endswith("(secret)") is (key in {*SECRET_KEYS, *OPTIONAL_SECRETS})
        # Pulumi refuses a secret that has a default, and reports what has none without a word of ours.
        assert "secret" not in described[key]
        default = None if field.is_required() else field.default
        if default is None or default == ():
            assert described[key]["default"] == empty[described[key]["type"]]
        else:
            plain = list(default) if isinstance(default, tuple) else default
            assert described[key]["default"] == (plain if isinstance(plain, bool | int | list | dict) else str(plain))


def test_what_pulumi_hands_over_for_a_setting_that_is_not_set_is_not_taken_for_a_value() -> None:
    """Pulumi fills in Pulumi.yaml's defaults, which are empty for what must be set."""
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    defaults = {
        key: each["default"] if isinstance(each["default"], str) else json.dumps(each["default"])
        for key, each in described.items()
    }
    chosen = values()
    assert parse({**defaults, **chosen}, SECRET_KEYS) == parse(chosen, SECRET_KEYS)
    with pytest.raises(SettingsError) as refused:
        parse(defaults, set())
    said = str(refused.value)
    for key, field in Settings.model_fields.items():
        if field.is_required():
            assert f"carica-kestra:{to_camel(key)} " in said
    assert "plain text" not in said
