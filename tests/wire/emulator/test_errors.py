"""Refusals: status, type, code and parameter as Stripe's."""

import io
import json
from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.running import RunningEmulator
from sandbox.emulator.settings import PLATFORM_KEY


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"nickname": "x"}, "parameter_unknown", "nickname"),
        ({"address": {"planet": "x"}}, "parameter_unknown", "address[planet]"),
        ({"email": "nobody"}, "email_invalid", "email"),
        ({"balance": "1.5"}, "parameter_invalid_integer", "balance"),
        ({"tax_exempt": "maybe"}, None, "tax_exempt"),
        ({"shipping": {"name": "x"}}, "parameter_missing", "shipping[address]"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"metadata": {str(n): "v" for n in range(51)}}, None, "metadata"),
        ({"invoice_settings": {"default_payment_method": "pm_x"}}, "resource_missing",
         "invoice_settings[default_payment_method]"),
    ],
)  # fmt: skip
async def test_bad_customer_parameters(
    client: stripe.StripeClient, params: Any, code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.create_async(params)
    assert (refused.value.http_status, refused.value.code) == (400, code)
    assert refused.value.param == param
    assert (await client.v1.customers.list_async()).data == []


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({"amount": 100}, "parameter_missing", "currency"),
        ({"amount": "ten", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 0, "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 100_000_000, "currency": "usd"}, "amount_too_large", "amount"),
        ({"amount": 100, "currency": "xyz"}, None, "currency"),
        ({"amount": 150, "currency": "isk"}, "parameter_invalid_integer", "amount"),
        ({"amount": 150, "currency": "ugx"}, "parameter_invalid_integer", "amount"),
        ({"amount": 1001, "currency": "kwd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 100, "currency": "usd", "customer": "cus_x"}, "resource_missing", "customer"),
    ],
)
async def test_bad_payments(
    client: stripe.StripeClient, params: Any, code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.create_async(params)
    assert (refused.value.http_status, refused.value.code) == (400, code)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("amount", "currency"), [(50, "jpy"), (100, "isk"), (1010, "kwd"), (1, "mga")]
)
async def test_minor_units_of_special_currencies(
    client: stripe.StripeClient, amount: int, currency: str
) -> None:
    made = await client.v1.payment_intents.create_async({"amount": amount, "currency": currency})
    assert (made.amount, made.currency) == (amount, currency)


async def test_a_missing_object_is_404_with_param_id(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.charges.retrieve_async("ch_none")
    error = refused.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    assert error.user_message == "No such charge: 'ch_none'"
    assert isinstance(error.http_body, str)
    envelope = json.loads(error.http_body)["error"]
    assert envelope["doc_url"].endswith("/resource-missing")
    assert envelope["request_log_url"].endswith(error.request_id)


@pytest.mark.parametrize("key", ["sk_test_wrong", "pk_test_emulator", "nonsense"])
async def test_a_wrong_key_is_401(emulator: RunningEmulator, key: str) -> None:
    async with emulator.sdk(key) as client:
        with pytest.raises(stripe.AuthenticationError) as refused:
            await client.v1.customers.list_async()
    assert refused.value.http_status == 401


async def test_an_unknown_account_is_403(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.PermissionError) as refused:
        await client.v1.customers.list_async(options={"stripe_account": "acct_none"})
    assert refused.value.http_status == 403
    assert refused.value.error is not None
    assert refused.value.error.code == "account_invalid"
    with pytest.raises(stripe.PermissionError):
        await client.v1.accounts.retrieve_async("acct_none")


async def test_a_revoked_account_is_403(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account()
    await client.v1.customers.create_async({}, {"stripe_account": account})
    await control.deauthorize(account)
    with pytest.raises(stripe.PermissionError):
        await client.v1.customers.list_async(options={"stripe_account": account})


async def test_an_unknown_url_is_404(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.raw_request_async("get", "/v1/nonsense")
    assert refused.value.http_status == 404


async def test_what_cannot_be_expanded_is_refused_before_the_work(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.create_async({"expand": ["email"]})
    assert (await client.v1.customers.list_async()).data == []


async def test_a_body_of_more_than_a_mebibyte_is_413(emulator: RunningEmulator) -> None:
    body = io.BytesIO(b"description=" + b"x" * (1 << 20))
    headers = {"Authorization": f"Bearer {PLATFORM_KEY}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{emulator.url}/v1/customers", data=body, headers=headers) as answer,
    ):
        assert answer.status == 413
        assert (await answer.json())["error"]["type"] == "invalid_request_error"
