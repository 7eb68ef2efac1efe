"""Measurements that the README quotes: `make bench`. Ratios of two things in one run; nothing here passes or fails."""

import tests.conftest  # noqa: F401  keys and stacks in a directory of their own
