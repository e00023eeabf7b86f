"""`billing products` and `billing prices` against a service on each store."""

import asyncio
import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from interfaces.cli.client import authorised
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.prices import prices_app
from interfaces.cli.products import products_app
from tests.support.contract.tenant import Ground
from tests.support.rooms.catalogue_end_to_end import MONTHLY, product_with
from tests.support.servers.service import token_for

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def run(ground: Ground, app: Any, *arguments: str) -> Result:
    """What a command ends with, on a service that is asked in the tenant's name."""
    address = f"127.0.0.1:{ground.world.service.ports['grpc']}"

    def reach(_: Any) -> Any:
        return lambda scopes: authorised(address, lambda: token_for(ground.tenant.account, *scopes))

    commands: typer.Typer = app(reach)
    environment = {"COLUMNS": "200", "TERM": "dumb"}
    return await asyncio.to_thread(CliRunner().invoke, commands, arguments, env=environment)


async def test_products_are_listed_searched_and_shown(ground: Ground) -> None:
    assert "no such products" in (await run(ground, products_app, "list")).stdout
    yearly = {**MONTHLY, "recurring": {"interval": "month", "interval_count": 3}}
    made = await product_with(
        ground, {**MONTHLY, "make_default": True}, yearly,
        {"currency": "usd", "unit_amount_decimal": "0.5"}, name="Gold [bold]",
    )  # fmt: skip
    await product_with(ground, name="Silver")
    for search, names in (((), {"Gold [bold]", "Silver"}), (("--search", "gol"), {"Gold [bold]"})):
        result = await run(ground, products_app, "list", *search)
        assert {name for name in ("Gold [bold]", "Silver") if name in result.stdout} == names
        told = json.loads((await run(ground, products_app, "list", *search, "--json")).stdout)
        assert {each["product"]["name"] for each in told["products"]} == names
    shown = await run(ground, products_app, "show", made.product.id)
    for words in (
        made.product.id, "9.00 USD a month", "9.00 USD every 3 months", "0.005 USD", "default",
    ):  # fmt: skip
        assert words in shown.stdout
    told = json.loads((await run(ground, products_app, "show", made.product.id, "--json")).stdout)
    assert told["product"]["id"] == made.product.id
    assert "no such products" in (await run(ground, products_app, "list", "--archived")).stdout
    nothing = await run(ground, products_app, "list", "--archived", "--search", "gol")
    assert "no products for gol" in nothing.stdout


async def test_a_price_is_replaced_and_refusals_name_the_flag(ground: Ground) -> None:
    made = await product_with(ground, {**MONTHLY, "lookup_key": "gold", "make_default": True})
    old = made.prices[0].price.id
    same = ("--unit-amount", "1200", "--request-id", "one")
    done = await run(ground, prices_app, "replace", old, *same)
    assert done.exit_code == 0, done.exception
    for words in ("12.00 USD a month", "gold (from the old price)", f"{old} (archived)"):
        assert words in done.stdout
    told = json.loads((await run(ground, prices_app, "replace", old, *same, "--json")).stdout)
    assert told["price"]["id"] in done.stdout
    new = told["price"]["id"]
    for arguments, words, code in (
        ((new,), "the new price: ", ExitCode.FAILED),
        ((new, "--currency", "kwd", "--unit-amount", "1005"), "--unit-amount: a multiple of 10",
         ExitCode.FAILED),
        (("price_0", "--unit-amount", "1"), "no price price_0", ExitCode.NOT_FOUND),
    ):  # fmt: skip
        refused = (await run(ground, prices_app, "replace", *arguments)).exception
        assert isinstance(refused, Refused)
        assert words in str(refused)
        assert refused.code is code
    fraction = await run(ground, prices_app, "replace", new, "--unit-amount", "10.5")
    assert fraction.exit_code == ExitCode.USAGE
