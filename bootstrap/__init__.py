"""How the service is put together and run."""

import os

# gRPC's core writes lines of its own beside the log; what matters comes as an exception, too. It
# looks here when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
