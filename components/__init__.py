"""The parts of the desk, one ComponentResource per file; the package `settings` is the only reader of configuration."""
