"""The parts of the desk, one ComponentResource per file; `settings` is the only one that reads configuration."""
