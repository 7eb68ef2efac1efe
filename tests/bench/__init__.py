"""Measurements that the README quotes: `make bench`. Ratios of two things in one run; nothing here passes or fails."""
