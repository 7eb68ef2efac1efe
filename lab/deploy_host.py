"""The dev desk's deploy host: a container with sshd that stands for a Debian server with Docker.

It drives the engine of this machine, whose socket is laid into it: that is the lab's way to save an engine inside an
engine, and no example to follow. So the engine does not see its files, and 127.0.0.1 in the name of an image is this
machine.
"""

import socket
import time

from lab import containers, engine, keys
from lab.image_builder import own
from lab.shell import LabError, run, say

NAME = "carica-lab-deploy-host"
ALIAS = "deploy-host"
NETWORK = "carica-lab"
IMAGE = own("deploy-host")
PORT = 22022
DISK = {"etc": "/etc", "local": "/usr/local", "home": "/home", "state": "/var/lib/carica"}
"""What was done to the server is still there when its container is made anew: Pulumi does it once."""


def start(name: str = NAME, network: str = NETWORK, port: int = PORT, alias: str = ALIAS) -> None:
    """Make sure that it runs, as `alias` on the network, with this machine's admin key and a host key that stays."""
    containers.join(network)
    if containers.stands(name, IMAGE):
        return
    say(f"  starting the deploy host {name}")
    # fmt: off
    run("deploy host", [
        "docker", "run", "--detach", "--init", "--name", name, "--hostname", alias, "--restart", "unless-stopped",
        "--network", network, "--network-alias", alias, "--publish", f"127.0.0.1:{port}:22",
        *(word for volume, path in DISK.items() for word in ("--volume", f"{name}-{volume}:{path}")),
        "--volume", f"{engine.socket()}:/var/run/docker.sock",
        "--env", "ADMIN_AUTHORIZED_KEY", "--env", "SSH_HOST_KEY", "--memory", "512m", IMAGE,
    ], env={
        "ADMIN_AUTHORIZED_KEY": keys.ssh_key("admin_ed25519").public,
        "SSH_HOST_KEY": keys.ssh_key("deploy_host_ed25519").private,
    })
    # fmt: on
    wait(port)


def wait(port: int = PORT, seconds: float = 30) -> None:
    """Return once an SSH service greets on 127.0.0.1:port."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise LabError(f"the deploy host's SSH service did not greet on 127.0.0.1:{port} within {seconds:.0f} s")


def remove(name: str = NAME, network: str = NETWORK) -> None:
    """Remove the deploy host, its volumes, and the lab's network unless something else is on it."""
    containers.remove(name, network)
