"""Adapters of ports on the platform's internal API, over HTTP."""
