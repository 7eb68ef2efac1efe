"""Where the pack starts: `pulumi preview --policy-pack policies` runs this directory."""

import sys
from pathlib import Path

from pulumi_policy import PolicyPack

# Pulumi runs the directory as a program, which makes no package of it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from policies import RULES

PolicyPack("carica", RULES)
