"""Guard: a `destroy` of a stack whose data is protected fails before it deletes anything."""

from collections.abc import Sequence

import pulumi


class Guard(pulumi.ComponentResource):
    """Stands on everything else, so that `destroy` comes to it first, and fails there while it is protected.

    Protected volumes alone fail late: what stands on them, networks and all, is gone by then (seen, CLI 3.259).
    Containers cannot be protected, as that forbids their replacement too.
    """

    def __init__(self, name: str, everything: Sequence[pulumi.Resource], *, protect: bool) -> None:
        """Declare the guard of `everything`; `protect` says whether it is on duty."""
        opts = pulumi.ResourceOptions(depends_on=everything, protect=protect)
        super().__init__("carica:guard:Guard", name, None, opts)
        self.register_outputs({})
