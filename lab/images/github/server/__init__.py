"""The lab's GitHub: REST as its OpenAPI description says, Git over HTTP and SSH, hook deliveries as it makes them."""
