"""The lab's Python host for Pulumi, and the Go module its CLI is built from."""
