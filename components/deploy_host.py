"""DeployHost: account, authorized key, deploy scripts, log-ins and first deployment on a server, over SSH."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_command as command

from components.settings import Server

SCRIPTS = Path(__file__).resolve().parent.parent / "deploy"
INSTALLED = ("deploy", "fetch", "release", "replace", "report", "update")
"""Those of deploy/ that stay on the server, as carica-NAME."""
PROGRAMS = "/usr/local/bin/carica-"
STATE, ETC = "/var/lib/carica", "/etc/carica"
GIT_KEY, GIT_KNOWN_HOSTS = f"{ETC}/git_key", f"{ETC}/git_known_hosts"
"""What the deploy scripts fetch with, over SSH."""
COMMAND_SECONDS = 900
"""pulumi-command has no time limit of its own for a command that hangs."""

_SCRIPTS = f"""
given=$(cat)
for name in {" ".join(INSTALLED)}; do
    jq --null-input --join-output --arg name $name 'input[$name]' <<<"$given" |
        install -m 0755 /dev/stdin {PROGRAMS}$name.new
done
for name in {" ".join(INSTALLED)}; do mv {PROGRAMS}$name.new {PROGRAMS}$name; done
"""
INSTALL = shlex.join(["flock", f"{STATE}/lock", "bash", "-euo", "pipefail", "-c", _SCRIPTS])
"""Puts the scripts in place, which are JSON in its input: all of them, between deployments.

A connection that is cut is an end of input like any other; half of this is no JSON.
"""


@dataclass(frozen=True, kw_only=True)
class DeployHostArgs:
    """The server, how Pulumi gets in, and what is deployed there."""

    server: Server
    """Where it is, who logs in, its pinned key (without one pulumi-command trusts any server, pulumi-command#755)."""
    admin_key: pulumi.Input[str]
    """Private key of the account that Pulumi prepares the server as."""
    kestra_key: str
    """Kestra's public key, let in for the deploy script and nothing else."""
    branch: str
    """The branch that is deployed."""
    registry_password: pulumi.Input[str] | None
    """What the server logs in to its registry with, if it has one."""
    git_key: pulumi.Input[str] | None
    """Private key that the repository is fetched with over SSH; it can only read."""
    git_known_hosts: Sequence[str]
    """The Git server's keys, lines as in OpenSSH's known_hosts."""
    fetched_after: Sequence[pulumi.Resource]
    """What is there before the first checkout: the repository, which lets the key in."""


class DeployHost(pulumi.ComponentResource):
    """A server that takes deployments from Kestra. Taking the stack apart leaves it as it is, serving."""

    def __init__(self, name: str, args: DeployHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare what is on the server."""
        super().__init__("carica:deploy_host:DeployHost", name, None, opts)
        server = args.server
        connection = command.remote.ConnectionArgs(
            host=server.admin_address or server.address,
            port=server.admin_port or server.port,
            user=server.admin_user,
            private_key=args.admin_key,
            host_key=server.host_key,
            dial_error_limit=10,
            per_dial_timeout=15,
        )

        privileged = "" if server.admin_user == "root" else "sudo -n "

        def run(
            what: str,
            create: str,
            stdin: pulumi.Input[str] | None = None,
            after: Sequence[pulumi.Resource] = (),
            triggers: list[pulumi.Input[str]] | None = None,
        ) -> command.remote.Command:
            return command.remote.Command(
                f"{name}-{what}",
                connection=connection,
                create=f"{privileged}timeout {COMMAND_SECONDS} {create}",
                stdin=stdin,
                triggers=triggers,
                # Servers accept no such variable, and every second run would warn of it (pulumi-command#48).
                add_previous_output_in_env=False,
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
            )

        sources = ",".join(server.kestra_from)
        given = [server.user, server.repository, args.branch, args.kestra_key, str(server.health_seconds), sources]
        account = run("account", f"sh -s -- {shlex.join(given)}", (SCRIPTS / "prepare.sh").read_text())
        ready = [account, *args.fetched_after]
        scripts = {each: (SCRIPTS / f"{each}.sh").read_text() for each in INSTALLED}
        ready.append(run("scripts", INSTALL, json.dumps(scripts), [account]))
        # Quoted, or compose would fill in what looks like a variable.
        environment = "".join(f"{variable}='{value}'\n" for variable, value in server.environment.items())
        ready.append(run("environment", f"install -m 0444 /dev/stdin {ETC}/host.env", environment, [account]))
        if server.registry and args.registry_password is not None:
            ready.append(run("registry", _log_in(server), args.registry_password, [account]))
        if args.git_key is not None:
            known = "".join(f"{line}\n" for line in args.git_known_hosts)
            key = pulumi.Output.concat(args.git_key, "\n")  # OpenSSH reads no key whose last line has no end
            ready += [
                run("git-known-hosts", f"install -m 0444 /dev/stdin {GIT_KNOWN_HOSTS}", known, [account]),
                run("git-key", shlex.join(["sh", "-euc", _git_key(server.user)]), key, [account]),
            ]
        # Another repository or branch is another first deployment; another environment is deployed as well.
        run(
            "deployment",
            f"runuser -u {server.user} -- {PROGRAMS}update current by=pulumi",
            after=ready,
            triggers=[server.repository, args.branch, json.dumps(server.environment, sort_keys=True)],
        )

        self.register_outputs({})


def _log_in(server: Server) -> str:
    """Return the command that logs the deploying account in to its registry; only it can read what that leaves."""
    assert server.registry  # noqa: S101 (asked before)
    login = ["docker", "--config", f"{STATE}/docker", "login", "--username", server.registry.username]
    return f"runuser -u {server.user} -- {shlex.join([*login, '--password-stdin', server.registry.server])}"


def _git_key(user: str) -> str:
    """Return the script that puts a key in place, once it is known to be a whole one."""
    new = f"{GIT_KEY}.new"
    return (
        f"install -m 0400 -o {user} /dev/stdin {new} && ssh-keygen -y -P '' -f {new} >/dev/null && mv {new} {GIT_KEY}"
    )
