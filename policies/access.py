"""Who is talked to, and who is listened to."""

from pulumi_policy import ResourceValidationArgs

from policies.rule import Faults, rule

REMOTE = ("command:remote:Command", "command:remote:CopyToRemote", "command:remote:CopyFile")
HOOKS = ("github:index/repositoryWebhook:RepositoryWebhook", "github:index/organizationWebhook:OrganizationWebhook")


@rule(*REMOTE, mend="set `host_key` to the server's public key, as ssh-keyscan shows it on a line you trust")
def servers_are_known_by_their_key(resource: ResourceValidationArgs) -> Faults:
    """Remote commands pin the server's host key: without one any server is trusted (pulumi-command#755)."""
    connection = resource.props["connection"]
    if not connection.get("hostKey"):
        yield "trusts whichever server answers (`connection` has no `host_key`)"
    proxy = connection.get("proxy")
    if proxy and not proxy.get("hostKey"):
        yield "trusts whichever jump host answers (`proxy` has no `host_key`)"


@rule("pulumi:providers:docker", mend="leave it out, and put the engine's key into known_hosts")
def engines_are_known_by_their_key(resource: ResourceValidationArgs) -> Faults:
    """The Docker engine's host key is checked as well."""
    for option in resource.props.get("sshOpts") or []:
        if "stricthostkeychecking" in str(option).lower() and not str(option).lower().endswith("yes"):
            yield f"trusts whichever engine answers (`ssh_opts` has {option})"


@rule(*HOOKS, mend="set `insecure_ssl=False`, an https:// URL and the stack's webhookSecret")
def hooks_are_signed_and_encrypted(resource: ResourceValidationArgs) -> Faults:
    """GitHub signs what it delivers, and verifies whom it delivers to."""
    settings = resource.props.get("configuration") or {}
    if settings.get("insecureSsl"):
        yield "delivers to whoever answers, whatever their certificate says"
    if not settings.get("secret"):
        yield "is not signed: anybody could deliver in GitHub's name"
    if not str(settings.get("url", "")).startswith("https://"):
        yield "delivers in the clear (its URL is not https://)"


RULES = [servers_are_known_by_their_key, engines_are_known_by_their_key, hooks_are_signed_and_encrypted]
