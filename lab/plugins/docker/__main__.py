"""`pulumi-resource-docker`, the lab's."""

from lab.plugins.docker.plugin import DockerPlugin
from lab.plugins.framework import engine_address

DockerPlugin().serve(engine_address())
