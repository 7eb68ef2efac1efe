"""Stand-ins for resource plugins that no package registry has. An installed official plugin always wins over them."""
