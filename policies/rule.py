"""What a rule is made of: a function that finds the faults of one resource."""

from collections.abc import Callable, Iterator

from pulumi_policy import EnforcementLevel, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy

CONTAINER = "docker:index/container:Container"
JOB = "pulumi-python:dynamic/carica:Job"

Faults = Iterator[str]


def rule(*types: str, mend: str) -> Callable[[Callable[[ResourceValidationArgs], Faults]], ResourceValidationPolicy]:
    """Make a mandatory policy of a function that yields what is wrong with a resource of one of `types`.

    Its name and docstring are the policy's; `mend` says what to write instead. Pulumi shows them with the resource.
    """

    def made(find: Callable[[ResourceValidationArgs], Faults]) -> ResourceValidationPolicy:
        def validate(resource: ResourceValidationArgs, report: ReportViolation) -> None:
            if resource.resource_type in types:
                for fault in find(resource):
                    report(f"{resource.name} {fault}. To mend it, {mend}.", None)

        return ResourceValidationPolicy(
            find.__name__.replace("_", "-"), str(find.__doc__), validate, EnforcementLevel.MANDATORY
        )

    return made


def is_part_of(resource: ResourceValidationArgs, component: str) -> bool:
    """Tell whether a resource stands below a component, such as `carica:haproxy:HAProxy`, in the tree."""
    return component in resource.urn.split("::")[2].split("$")[:-1]


def stack(resource: ResourceValidationArgs) -> str:
    """Return the name of the stack a resource belongs to."""
    return resource.urn.split("::")[0].removeprefix("urn:pulumi:")
