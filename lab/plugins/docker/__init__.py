"""Stand-in for pulumi-docker 5.1.0: the resource types the desk uses, on a real engine."""
