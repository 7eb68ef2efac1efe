"""The outside world on one machine, made from package registries only (see ARCHITECTURE.md, "Lab")."""
