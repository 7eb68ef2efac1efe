"""The policy pack: rules that hold for every resource, whoever writes the component that declares it.

A policy sees a resource's inputs, its place in the tree and whether it is protected. It does not see whether a value is
marked secret (the SDK lays secrets open before it asks a policy), nor `retain_on_delete`: tests/unit looks at those.
"""

from pulumi_policy import Policy

from policies import access, containers, data, exposure

RULES: list[Policy] = [*containers.RULES, *data.RULES, *access.RULES, *exposure.RULES]
