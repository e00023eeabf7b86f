"""What holds for every test."""

import os

# Children that die with their parent are forked in Python, and gRPC's handlers of a fork crash one
# in twenty of them while calls are under way. It looks here when it is first imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
