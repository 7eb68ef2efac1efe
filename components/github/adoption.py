"""Parts of what is declared that are there already, and are taken over instead of made."""

from collections.abc import Mapping

import pulumi

Part = tuple[str, str]
"""Type and name of a resource."""
Existing = Mapping[Part, str]
"""Part → the id it is imported by."""


def part(kind: type[pulumi.CustomResource], name: str) -> Part:
    """Return what tells a resource from all others of a stack."""
    return str(kind.pulumi_type), name  # type: ignore[attr-defined]


def taken_over(
    existing: Existing, kind: type[pulumi.CustomResource], name: str, options: pulumi.ResourceOptions
) -> pulumi.ResourceOptions:
    """Return `options` with which the resource is imported where it is there already, and then made as declared."""
    options.import_ = existing.get(part(kind, name))
    return options
