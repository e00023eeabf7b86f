"""Prices of phone numbers: a file, and the platform's internal API."""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Reason, Unavailable
from domain.phone_numbers import NumberKind, NumberPrice
from infrastructure.internal_api.client import InternalApiError
from infrastructure.internal_api.kept_prices import FAILURES_TO_OPEN
from infrastructure.internal_api.number_prices import InternalNumberPrices
from infrastructure.number_price_file import NoNumberPrices, NumberPriceFile
from tests.support.rooms.store import GERMAN
from tests.unit.infrastructure.test_prices import Api, Seconds

TIERS = [{"up_to": 2, "price": "1.15"}, {"up_to": None, "price": "0.995"}]
URL = "http://api.example/phone-numbers/prices"


def told(**other: object) -> dict[str, object]:
    return {"country": "DE", "kind": "local", "currency": "usd", "tiers": TIERS, **other}


def numbers(api: Api, seconds: Seconds | None = None) -> InternalNumberPrices:
    there: Any = api
    return InternalNumberPrices(there, URL, seconds=seconds or Seconds())


async def german(prices: InternalNumberPrices) -> NumberPrice | None:
    return await prices.price("DE", NumberKind.LOCAL, "usd")


async def test_a_price_is_asked_for_once_a_minute() -> None:
    api, seconds = Api(), Seconds()
    prices = numbers(api, seconds)
    api.answer = told()
    assert [await german(prices) for _ in range(3)] == [GERMAN] * 3
    assert api.asked == [(URL, {"country": "DE", "kind": "local", "currency": "usd"})]
    seconds.now, api.answer = 61.0, told(tiers=[{"up_to": None, "price": "2"}])
    price = await german(prices)
    assert price is not None
    assert price.price_of(1) == 200


async def test_what_is_not_sold_is_asked_for_each_time() -> None:
    api = Api()
    api.answer = told(tiers=None)
    prices = numbers(api)
    assert [await german(prices) for _ in range(2)] == [None, None]
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[", b'"x"', b"[" * 100_000, InternalApiError("HTTP 500"),
        told(country="FR"), told(kind="mobile"), told(currency="eur"), told(tiers=[]),
        told(tiers=[{"up_to": None, "price": "-1"}]), told(tiers=[{"up_to": None, "price": 1}]),
        told(tiers=[{"up_to": 1, "price": "1"}]), told(tiers=TIERS[::-1]),
        told(tiers=[{"up_to": n, "price": "1"} for n in range(1, 102)]), {"tiers": TIERS},
    ],
)  # fmt: skip
async def test_what_is_no_price_is_no_answer(answer: object) -> None:
    api = Api()
    api.answer = answer
    with pytest.raises(Unavailable) as caught:
        await german(numbers(api))
    assert caught.value.reason is Reason.PRICE_UNAVAILABLE


async def test_a_currency_that_nobody_knows_has_no_price() -> None:
    api = Api()
    api.answer = told(currency="xxx")
    with pytest.raises(Unavailable):
        await numbers(api).price("DE", NumberKind.LOCAL, "xxx")


async def test_who_does_not_answer_is_left_alone() -> None:
    api = Api()
    api.answer = InternalApiError("HTTP 500")
    prices = numbers(api)
    for _ in range(FAILURES_TO_OPEN + 3):
        with pytest.raises(Unavailable):
            await german(prices)
    assert len(api.asked) == FAILURES_TO_OPEN


async def test_a_file_of_prices(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    path.write_text(json.dumps({"prices": [told()]}))
    prices = NumberPriceFile(path)
    assert await prices.price("DE", NumberKind.LOCAL, "usd") == GERMAN
    assert await prices.price("DE", NumberKind.LOCAL, "eur") is None
    with pytest.raises(Unavailable):
        await NoNumberPrices().price("DE", NumberKind.LOCAL, "usd")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no list of prices"), ("[]", "is no list of prices"),
        (json.dumps({"prices": [told(), told()]}), "one price for each"),
        (json.dumps({"prices": [told(currency="xxx")]}), "currency"),
        (json.dumps({"prices": [told(tiers=[])]}), "tiers"),
        ("[" * 100_000, "is no list of prices"), (" " * 5_000_000, "at most"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_list_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "numbers.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"{path}: .*{words}"):
        NumberPriceFile(path)
    with pytest.raises(ValueError, match="No such file"):
        NumberPriceFile(tmp_path / "none.json")
