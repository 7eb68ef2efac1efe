"""Stand-in for pulumi-command 1.2.1: `local.Command`, and over real SSH `remote.Command` and `remote.CopyToRemote`."""
