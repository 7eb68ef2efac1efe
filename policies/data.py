"""What must outlive mistakes (DESIGN, rule 4)."""

from pulumi_policy import ResourceValidationArgs

from policies.rule import Faults, rule, stack

DISPOSABLE = ("-configuration", "-run", "-sockets")
"""What the names of volumes end with that are written anew by every `up`."""


@rule("docker:index/volume:Volume", mend="set protectData to true, and declare the volume by `data_volume`")
def data_is_protected(resource: ResourceValidationArgs) -> Faults:
    """In prod, volumes with data are protected from deletion."""
    if stack(resource) == "prod" and not resource.name.endswith(DISPOSABLE) and not resource.opts.protect:
        yield "can be deleted with all that is in it"


@rule("github:index/repository:Repository", mend="declare it with `protect=True`")
def repositories_are_protected(resource: ResourceValidationArgs) -> Faults:
    """In prod, GitHub repositories are protected from deletion."""
    if stack(resource) == "prod" and not resource.opts.protect:
        yield "can be deleted on GitHub with all its history"


RULES = [data_is_protected, repositories_are_protected]
