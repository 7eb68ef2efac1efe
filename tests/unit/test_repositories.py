"""Every rule about repositories and GitHub: what is refused, where, in which words, and with which mending command."""

from typing import Any

import pytest

from components.settings import SettingsError, parse
from tests.unit.valid import HOST_KEY, REPOSITORIES, SECRET_KEYS, app_key, private_key, repositories, values

APP = {"id": "Iv23liABC", "installationId": "4711"}
AS_APP = {"githubToken": None, "githubApp": APP, "githubAppKey": app_key()}


def problems(**changed: Any) -> list[tuple[str, str]]:
    """Fault and command of each problem of otherwise valid settings."""
    with pytest.raises(SettingsError) as refused:
        parse(values(**changed), {*SECRET_KEYS, "githubAppKey"})
    lines = str(refused.value).splitlines()[1:]
    return [(fault.strip(), mend.strip()) for fault, mend in zip(lines[::2], lines[1::2], strict=True)]


def the_problem(**changed: Any) -> str:
    """The only problem, fault and command in one text."""
    found = problems(**changed)
    assert len(found) == 1, found
    return "\n".join(found[0])


def test_valid_settings_say_which_repository_each_flow_is_about() -> None:
    settings = parse(values(), SECRET_KEYS)
    variables = settings.flow_variables
    assert variables["deploy_repository"] == "centaurin/carica-deploy"
    assert variables["flows_repository"] == "centaurin/carica-kestra"
    assert variables["image_repositories"] == "centaurin/carica,centaurin/carica-ml"
    assert variables["git_url"] == "https://github.com"


def test_a_desk_without_repositories_needs_no_login_of_githubs() -> None:
    settings = parse(
        values(repositories=[], githubOwner=None, githubToken=None, kestraGitToken=None, ciSecrets=None), SECRET_KEYS
    )
    # No repository can be named so: nothing that GitHub sends would start a flow.
    assert settings.flow_variables["deploy_repository"] == "-"
    assert settings.flow_variables["image_repositories"] == "-"


@pytest.mark.parametrize(
    ("changed", "path", "fault"),
    [
        ({"name": "centaurin/carica-ml"}, "name", "is not a repository's name"),
        ({"name": "carica ml"}, "name", "is not a repository's name"),
        ({"name": ".."}, "name", "is not a repository's name"),
        ({"name": "a" * 101}, "name", "is not a repository's name"),
        ({"name": "carica-ml.git"}, "name", "ends with what GitHub keeps for itself"),
        ({"name": None}, "name", "is not set"),
        ({"name": "CARICA"}, "name", "is CARICA, which the list has already"),
        ({"formerly": "carica-ml"}, "formerly", "is its name now"),
        ({"formerly": "carica"}, "formerly", "is carica, which is another one in the list"),
        ({"visibility": "secret"}, "visibility", "Input should be 'public', 'private' or 'internal'"),
        ({"visibility": "internal"}, "visibility", "is internal, which only an enterprise has (githubPlan is free)"),
        ({"description": "two\nlines"}, "description", "holds a line break"),
        ({"description": "x" * 351}, "description", "at most 350"),
        ({"topics": ["Machine Learning"]}, "topics[0]", "is not a topic"),
        ({"topics": ["a", "b", "a"]}, "topics", "names a twice"),
        ({"topics": [f"t{number}" for number in range(21)]}, "topics", "at most 20"),
        ({"default_branch": "-x"}, "defaultBranch", "is not a branch name"),
        ({"default_branch": "develop"}, "defaultBranch", "is develop, and the flows it starts look at main only"),
        ({"merge": {"squash": False}}, "merge.rebase", "nothing could be merged"),
        ({"merge": {"sqash": True}}, "merge.sqash", "is not a setting; did you mean squash?"),
        ({"approvals": 11}, "approvals", "less than or equal to 10"),
        ({"required_checks": [""]}, "requiredChecks[0]", "is not a check's name"),
        ({"required_checks": ["Check", "Check"]}, "requiredChecks", "names Check twice"),
        ({"required_checks": ["Check"], "ruleset": False}, "requiredChecks", "nothing would require the checks"),
        ({"actions": ["docker"]}, "actions[0]", "is no pattern of actions"),
        ({"ci": {}}, "ci", "is set, and carica-ml has it"),
        ({"homepage": "carica.example"}, "homepage", "is not the address of a page"),
        ({"descripton": "x"}, "descripton", "is not a setting; did you mean description?"),
    ],
)
def test_a_fault_is_named_with_its_path_and_the_mending_command(changed: dict[str, Any], path: str, fault: str) -> None:
    said = the_problem(repositories=repositories("carica-ml", **changed))
    # Of two with ci the second one is at fault.
    where = f"repositories[{3 if path == 'ci' else 1}].{path}"
    assert said.startswith(f"carica-kestra:{where} ")
    assert fault in said
    verb = "rm" if any(words in fault for words in ("is not a setting", "has it", "nothing would require")) else "set"
    assert f"\npulumi config {verb} --path 'carica-kestra:{where}'" in said


@pytest.mark.parametrize(
    ("hooks", "path", "fault", "verb"),
    [
        ({"gh_pushed": ["push"]}, "hooks.gh_pushed", "is no flow (a webhook starts gh_push_deployment, ", "rm"),
        ({"push_to_git": ["push"]}, "hooks.push_to_git", "is a flow that is started by hand", "rm"),
        ({"gh_workflow_completed": ["push"]}, "hooks.gh_workflow_completed[0]", "it wants workflow_run", "set"),
        ({"gh_workflow_completed": ["*"]}, "hooks.gh_workflow_completed[0]", "does not start this flow", "set"),
        ({"gh_workflow_completed": []}, "hooks.gh_workflow_completed[0]", "the flow wants workflow_run", "set"),
        (
            {"gh_push_deployment": ["push"], "sync_from_git": ["push"]},
            "hooks.sync_from_git",
            "is started by push, and so is gh_push_deployment",
            "rm",
        ),
    ],
)
def test_a_hook_that_no_flow_wants_is_refused(hooks: dict[str, Any], path: str, fault: str, verb: str) -> None:
    said = the_problem(repositories=repositories("carica-ml", hooks=hooks))
    assert said.startswith(f"carica-kestra:repositories[1].{path} ")
    assert fault in said
    assert f"\npulumi config {verb} --path" in said


def test_each_flow_that_is_loaded_is_started_by_a_repository() -> None:
    said = the_problem(repositories=repositories("carica-deploy", hooks=None))
    assert "repositories[N].hooks.gh_push_deployment[0] is not set for any repository N" in said
    flows = ["deploy", "gh_workflow_completed", "push_to_git", "sync_from_git"]
    assert parse(values(repositories=repositories("carica-deploy", hooks=None), flows=flows), SECRET_KEYS)


def test_a_flow_about_one_repository_is_started_by_one() -> None:
    said = the_problem(
        repositories=repositories("carica-kestra", hooks={"gh_push_deployment": ["push"]}),
        flows=["deploy", "gh_push_deployment", "gh_workflow_completed"],
    )
    assert said.startswith("carica-kestra:repositories[3].hooks.gh_push_deployment is set, and an earlier repository")


def test_a_hook_for_a_flow_that_the_stack_leaves_out_is_refused() -> None:
    said = the_problem(flows=["deploy", "gh_push_deployment", "gh_workflow_completed"])
    assert "repositories[3].hooks.sync_from_git is not a flow of this stack" in said


@pytest.mark.parametrize(
    ("feature", "path", "plans"),
    [
        ({"ruleset": True}, "ruleset", "pro or team or enterprise"),
        ({"ruleset": None}, "ruleset", "pro or team or enterprise"),
        ({"ruleset": False, "actions": ["docker/*"]}, "actions", "enterprise"),
        ({"ruleset": False, "wiki": True}, "wiki", "pro or team or enterprise"),
        ({"ruleset": False, "secretScanning": True}, "secretScanning", "team or enterprise"),
        ({"ruleset": False, "merge": {"auto": True}}, "merge.auto", "pro or team or enterprise"),
    ],
)
def test_a_private_repository_gets_what_its_owners_plan_has(feature: dict[str, Any], path: str, plans: str) -> None:
    said = the_problem(repositories=repositories("carica-ml", visibility="private", **feature))
    assert f"repositories[1].{path} takes the plan {plans} if private; githubPlan is free" in said
    taken_away = path == "actions"
    assert f"'carica-kestra:repositories[1].{path}'{'' if taken_away else ' false'} --stack" in said
    private = repositories("carica-ml", visibility="private", **feature)
    assert parse(values(repositories=private, githubPlan=plans.split()[0]), SECRET_KEYS)


def test_a_public_repository_gets_all_of_it() -> None:
    everything = repositories("carica-ml", wiki=True, secretScanning=True, merge={"auto": True})
    assert parse(values(repositories=everything), SECRET_KEYS)


def test_environments_and_reviewers_of_a_private_repository_take_a_plan() -> None:
    private = repositories("carica-kestra", visibility="private", ruleset=False, ci={"reviewers": ["octocat"]})
    assert "repositories[3].ci takes the plan pro or team or enterprise" in problems(repositories=private)[0][0]
    said = the_problem(repositories=private, githubPlan="team")
    assert "repositories[3].ci.reviewers takes the plan enterprise if private; githubPlan is team" in said
    assert parse(values(repositories=private, githubPlan="enterprise"), SECRET_KEYS)


@pytest.mark.parametrize("reviewers", [["a b"], ["@octocat"], ["org/team/x"], [""]])
def test_a_reviewer_is_a_user_or_a_team(reviewers: list[str]) -> None:
    said = the_problem(repositories=repositories("carica-kestra", ci={"reviewers": reviewers}))
    assert "repositories[3].ci.reviewers[0] is not a reviewer" in said


def test_secret_scanning_is_on_where_it_costs_nothing() -> None:
    listed = parse(values(repositories=repositories("carica-ml", visibility="private", ruleset=False)), SECRET_KEYS)
    assert [each.scans_secrets for each in listed.repositories] == [True, None, True, True]


def test_repositories_belong_to_somebody() -> None:
    assert the_problem(githubOwner=None).startswith("carica-kestra:githubOwner is not set")
    assert "is not the name of an organisation" in the_problem(githubOwner="centaurin/carica")


def test_one_login_and_one_only_is_given() -> None:
    assert "carica-kestra:githubToken is not set: the repositories are administered with it" in the_problem(
        githubToken=None
    )
    assert "\ncat token | pulumi config set --secret 'carica-kestra:githubToken'" in the_problem(githubToken=None)
    both = the_problem(githubApp=APP, githubAppKey=app_key())
    assert "carica-kestra:githubToken is set, and so is githubApp: keep one of the two" in both
    assert "\npulumi config rm 'carica-kestra:githubToken'" in both
    assert parse(values(**AS_APP), {*SECRET_KEYS, "githubAppKey"}).github_app


def test_an_app_comes_with_its_key() -> None:
    assert "carica-kestra:githubAppKey is not set: githubApp logs in with it" in the_problem(
        **{**AS_APP, "githubAppKey": None}
    )
    alone = the_problem(githubAppKey=app_key())
    assert "carica-kestra:githubAppKey is set, and githubApp is not" in alone
    assert "\npulumi config rm 'carica-kestra:githubAppKey'" in alone


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("no key", "is not the PEM file that GitHub gave"),
        (app_key(b"a passphrase"), "has a passphrase"),
        (private_key(), "is not the PEM file that GitHub gave"),
    ],
)
def test_an_apps_key_is_as_github_gave_it(key: str, fault: str) -> None:
    said = the_problem(**{**AS_APP, "githubAppKey": key})
    assert fault in said
    assert "PRIVATE" not in said


@pytest.mark.parametrize("part", ["id", "installationId"])
def test_an_app_has_both_numbers(part: str) -> None:
    app = {key: value for key, value in APP.items() if key != part}
    assert f"carica-kestra:githubApp.{part} is not set" in the_problem(**{**AS_APP, "githubApp": app})


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://github.com", "https://api.github.com"),
        ("https://carica.ghe.com", "https://api.carica.ghe.com"),
        ("https://github.example.com", "https://github.example.com/api/v3"),
        ("https://github.example.com:8443", "https://github.example.com:8443/api/v3"),
        ("http://127.0.0.1:22080", "http://127.0.0.1:22080/api/v3"),
    ],
)
def test_the_api_is_where_that_kind_of_github_has_it(url: str, api: str) -> None:
    assert parse(values(githubUrl=url), SECRET_KEYS).github_api == api


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("github.com", "is not the address of a server"),
        ("https://github.com/", "is not the address of a server"),
        ("https://github.com/centaurin", "is not the address of a server"),
        ("https://me:secret@github.com", "is not the address of a server"),
        ("http://github.example.com", "the token would cross the network in the clear"),
    ],
)
def test_githubs_address_is_a_servers_and_encrypted(url: str, fault: str) -> None:
    assert fault in the_problem(githubUrl=url)


def test_flows_reach_git_elsewhere_where_that_is_said() -> None:
    settings = parse(values(githubUrl="http://127.0.0.1:22080", gitUrl="http://github:8080"), SECRET_KEYS)
    assert settings.flow_variables["git_url"] == "http://github:8080"
    settings = parse(values(githubUrl="https://github.example.com"), SECRET_KEYS)
    assert settings.flow_variables["git_url"] == "https://github.example.com"


def test_kestras_token_is_asked_for_where_its_flows_need_it() -> None:
    assert "carica-kestra:kestraGitToken is not set" in the_problem(kestraGitToken=None)


@pytest.mark.parametrize(
    "fetched", ["git@github.com:somebody/carica-deploy.git", "https://github.com/centaurin/carica", "file:///srv/x.git"]
)
def test_what_is_checked_out_is_what_is_pushed(fetched: str) -> None:
    said = the_problem(deployHosts=[deploy_host(fetched)])
    assert "deployHosts[0].repository is not centaurin/carica-deploy, whose pushes are deployed" in said


@pytest.mark.parametrize(
    ("fetched", "host"),
    [
        ("git@github.com:centaurin/carica-deploy.git", "github.com"),
        ("ssh://git@github/centaurin/carica-deploy", "github"),
        ("ssh://git@github:2222/centaurin/carica-deploy.git", "[github]:2222"),
        ("https://github.com/centaurin/Carica-Deploy.git", None),
    ],
)
def test_the_git_servers_key_is_looked_up_by_the_name_it_is_fetched_from(fetched: str, host: str | None) -> None:
    settings = parse(values(deployHosts=[deploy_host(fetched)], gitHostKeys=[HOST_KEY]), SECRET_KEYS)
    known = settings.git_known_hosts(settings.deploy_hosts[0])
    assert known == ((f"{host} {HOST_KEY}",) if host else ())


def test_fetching_over_ssh_takes_a_key_and_a_known_server() -> None:
    assert "carica-kestra:deployGitKey is not set" in the_problem(deployGitKey=None)
    elsewhere = deploy_host("ssh://git@github.example.com/centaurin/carica-deploy.git")
    said = the_problem(deployHosts=[elsewhere])
    assert "gitHostKeys[0] is not set: the deploy host fetches from github.example.com" in said
    assert "ssh-keyscan" in said
    assert "gitHostKeys[0] is not set" in the_problem(gitHostKeys=[])
    assert "is not a line of ssh-keyscan's" in the_problem(gitHostKeys=["github.com ssh-ed25519 AAAA"])
    assert "has a passphrase" in the_problem(deployGitKey=private_key(b"a passphrase"))
    by_https = deploy_host("https://github.com/centaurin/carica-deploy.git")
    assert parse(values(deployHosts=[by_https], deployGitKey=None), SECRET_KEYS)


def deploy_host(repository: str) -> dict[str, Any]:
    """The valid deploy host with another repository."""
    return {
        "name": "web",
        "address": "web.example.com",
        "user": "deploy",
        "hostKey": HOST_KEY,
        "repository": repository,
    }


def test_githubs_published_keys_are_the_ones_it_publishes() -> None:
    """The fingerprints as GitHub's documentation has them."""
    import base64
    import hashlib

    keys = parse(values(), SECRET_KEYS).git_host_keys
    prints = [base64.b64encode(hashlib.sha256(base64.b64decode(key.split()[1])).digest()).decode() for key in keys]
    assert prints == ["+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU=", "p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM="]


def test_ci_gets_what_up_cannot_do_without() -> None:
    assert "carica-kestra:ciSecrets.PULUMI_BACKEND_URL is not set, nor is PULUMI_ACCESS_TOKEN" in the_problem(
        ciSecrets=None
    )
    assert parse(values(ciSecrets={"PULUMI_ACCESS_TOKEN": "pul-x"}), SECRET_KEYS)
    found = "\n".join(map("\n".join, problems(dockerHost="ssh://root@desk.example.com")))
    assert "carica-kestra:ciSecrets.DESK_SSH_KEY is not set" in found
    assert "carica-kestra:ciVariables.DESK_KNOWN_HOSTS is not set" in found
    assert "| pulumi config set --secret --path 'carica-kestra:ciSecrets.DESK_SSH_KEY'" in found


@pytest.mark.parametrize("name", ["lower", "1ST", "WITH-DASH", "GITHUB_TOKEN"])
def test_secrets_and_variables_have_names_that_actions_takes(name: str) -> None:
    secrets = {"PULUMI_BACKEND_URL": "file:///x", name: "value"}
    said = the_problem(ciSecrets=secrets)
    assert f"carica-kestra:ciSecrets.{name} " in said
    assert "pulumi config rm" in said
    assert f"carica-kestra:ciVariables.{name} " in the_problem(ciVariables={name: "value"})


def test_a_secret_for_ci_is_not_empty() -> None:
    secrets = {"PULUMI_BACKEND_URL": "file:///x", "PULUMI_CONFIG_PASSPHRASE": " "}
    assert "carica-kestra:ciSecrets.PULUMI_CONFIG_PASSPHRASE is empty" in the_problem(ciSecrets=secrets)


def test_every_problem_is_listed_at_once_and_no_secret_is_repeated() -> None:
    planted = "planted secret"
    listed = repositories("carica-ml", name="a/b", hooks={"nope": []}, requiredChecks=[""], visibility="private")
    found = problems(repositories=listed, githubToken=planted, githubAppKey=planted, deployGitKey=planted)
    said = "\n".join(map("\n".join, found))
    for path in ("name", "hooks.nope", "requiredChecks[0]", "ruleset"):
        assert f"repositories[1].{path} " in said
    for key in ("githubToken", "githubAppKey", "deployGitKey"):
        assert f"carica-kestra:{key} " in said
    assert planted not in said


def test_a_plan_that_github_has_not_is_refused_alone() -> None:
    said = the_problem(githubPlan="gold", repositories=repositories("carica-ml", visibility="private"))
    assert said.startswith("carica-kestra:githubPlan ")


def test_a_fifth_repository_is_data() -> None:
    fifth = {"name": "carica-docs", "visibility": "public", "hooks": {"gh_workflow_completed": ["workflow_run"]}}
    settings = parse(values(repositories=[*REPOSITORIES, fifth]), SECRET_KEYS)
    assert settings.flow_variables["image_repositories"].endswith(",centaurin/carica-docs")
