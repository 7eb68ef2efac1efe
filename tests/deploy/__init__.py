"""The scripts of deploy/ on a server, with a real engine, compose, Git, sshd and registry."""
