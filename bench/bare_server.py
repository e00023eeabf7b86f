"""The floor of start and memory: a server of the libraries that the service needs, and no more.

    python -m bench.bare_server

It imports them, listens for gRPC (health) and HTTP (GET /healthz), says where, as `billing serve
--child` does, and ends with its standard input.
"""

import asyncio
import json
import sqlite3
import sys

import circuitbreaker
import dependency_injector.containers
import google.rpc.error_details_pb2
import grpc
import grpc_status.rpc_status
import jwt
import msgspec
import phonenumbers
import pydantic_settings
import stripe
import structlog
import typer
import uvloop
from aiohttp import web
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

NEEDED = (
    circuitbreaker, dependency_injector.containers, google.rpc.error_details_pb2,
    grpc_status.rpc_status, jwt, msgspec, phonenumbers, pydantic_settings, reflection, sqlite3,
    stripe, structlog, typer,
)  # fmt: skip


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def serve() -> None:
    """Serve until standard input ends."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    app = web.Application()
    app.router.add_get("/healthz", _healthy)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"grpc": port, "http": runner.addresses[0][1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(serve())
