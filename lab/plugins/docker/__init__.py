"""Stand-in for pulumi-docker 5.1.0: networks, volumes, images and containers, on a real engine."""

import os

# For an engine behind ssh:// the docker SDK forks ssh, which gRPC's own handlers at a fork break (seen: broken pipes,
# a plugin that hung). It reads this when it is imported, which happens below this package.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
