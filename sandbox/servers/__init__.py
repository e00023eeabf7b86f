"""Servers that tests and bench start, and end: mongod, nats-server."""
