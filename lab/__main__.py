"""What the Makefile calls: `python -m lab up|down|env|demo|deployments|password`."""

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from lab import apps, carica_deploy, deploy_host, github_host, keys, registry, stack
from lab.demo import demo
from lab.deployments import deployments
from lab.engine import engine, started_here
from lab.image_builder import images
from lab.paths import CACHE, ROOT, STATE
from lab.shell import LabError, end_all_on_interrupt, follow, run, say
from lab.toolchain import toolchain

INTERRUPTED = 130
"""The exit code of what Ctrl-C ended, as shells have it."""


def tools() -> dict[str, str]:
    """Return the environment in which `pulumi` works on the dev stack; say which parts are official."""
    chosen = toolchain()
    for line in chosen.chosen:
        say(f"  {line}")
    return {**chosen.environment, **stack.environment()}


def prepared() -> dict[str, str]:
    """Return that environment, and have the dev stack there with its secrets."""
    env = tools()
    stack.prepare(env)
    return env


def machine() -> dict[str, str]:
    """Make everything ready that `pulumi up` of the dev stack needs."""
    settings = stack.settings()
    wanted = {part: settings[f"{part}Image"] for part in ("postgres", "haproxy", "kestra")}
    say(f"  {engine()}")
    with ThreadPoolExecutor() as pool:
        made = pool.submit(images, wanted)
        env = tools()
        for line in made.result():
            say(f"  {line}")
    stack.prepare(env)
    stack.check(env)
    deploy_host.start()
    registry.start()
    apps.publish_first()
    hub = github_host.start(connect_to=stack.edge(stack.NAME))
    github_host.admit(hub, keys.stack_secrets(settings["domain"]))
    carica_deploy.seed(hub)
    return env


def up() -> None:
    """Bring the desk up, or make it as the code says."""
    say("getting ready (the first time takes minutes; everything is kept for the next)")
    env = machine()
    follow(["pulumi", "up", "--yes"], cwd=ROOT, env=env)
    github_host.seed(github_host.wait(), ROOT / "flows")
    url = run("address", ["pulumi", "stack", "output", "url"], cwd=ROOT, env=env).strip()
    print(f"\nThe desk is up: {url}  (log in as {stack.settings()['kestraUser']}; `make password` shows the password)")
    print(f"Your browser may want the local CA: {keys.ca_file()}")
    print(f"What it deployed: http://127.0.0.1:{carica_deploy.PORT}/ and http://127.0.0.1:{carica_deploy.PORT}/ml/")


def down() -> None:
    """Take the desk and what the lab put around it apart; say what is kept."""
    say(f"  {engine()}")
    env = prepared()
    stack.unprotect_repositories(env)
    follow(["pulumi", "destroy", "--yes", "--skip-preview"], cwd=ROOT, env=env)
    github_host.remove()
    deploy_host.remove()
    carica_deploy.remove(stack.NAME)
    registry.remove()
    file = f"Pulumi.{stack.NAME}.yaml"
    print("\nThe desk is gone with its data. Kept for the next `make up`:")
    print(f"  keys, secrets, state   {STATE}, and encrypted in {file}")
    print(f"  builds, downloads      {CACHE}")
    print("  images                 docker image ls; the lab's own: --filter label=carica.lab")
    if pid := started_here():
        print(f"  the Docker engine      goes on running, as the lab started it; as root: kill {pid}")
    kept = f"{shlex.quote(str(STATE))} {shlex.quote(str(CACHE))}"
    print(f"To delete keys and cache as well: rm -rf {kept} {file} && git restore {file}")


def environment() -> None:
    """Print the shell commands that make plain `pulumi` commands work."""
    for name, value in prepared().items():
        print(f"export {name}={shlex.quote(value)}")


def password() -> None:
    """Print the login of Kestra's UI."""
    command = ["pulumi", "config", "get", f"{stack.PROJECT}:kestraPassword"]
    shown = run("password", command, cwd=ROOT, env=prepared())
    print(f"{stack.settings()['kestraUser']}\n{shown.strip()}")


def what_runs_where() -> None:
    """Print it for the dev stack, or for the one that PULUMI_STACK names, whose backend is the caller's."""
    named = os.environ.get("PULUMI_STACK", stack.NAME)
    deployments(prepared() if named == stack.NAME else toolchain().environment, named)


COMMANDS: Mapping[str, Callable[[], None]] = {
    "up": up,
    "down": down,
    "env": environment,
    "demo": lambda: demo(prepared()),
    "deployments": what_runs_where,
    "password": password,
}


def main(words: list[str]) -> int:
    """Run one command; return the process's exit code."""
    if len(words) != 1 or words[0] not in COMMANDS:
        say(f"usage: python -m lab {'|'.join(COMMANDS)}")
        return 2
    os.umask(0o077)
    end_all_on_interrupt()
    try:
        COMMANDS[words[0]]()
    except LabError as error:
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        say(f"\ninterrupted; `make {words[0]}` goes on from here")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
