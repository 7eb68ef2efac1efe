"""`pulumi-resource-docker`, the lab's."""

from lab.plugins.docker import container, engine, image, network, volume
from lab.plugins.framework import Plugin, engine_address

KINDS = {
    "docker:index/container:Container": container.KIND,
    "docker:index/network:Network": network.KIND,
    "docker:index/remoteImage:RemoteImage": image.KIND,
    "docker:index/volume:Volume": volume.KIND,
}

Plugin("docker", "5.1.0", KINDS, engine.configure).serve(engine_address())
