"""Stand-in for pulumi-command 1.2.1: `remote.Command`, over real SSH."""
