"""Price lists: a file, and the platform's internal API."""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Reason, Unavailable
from infrastructure.internal_api.client import InternalApiError
from infrastructure.internal_api.kept_prices import FAILURES_TO_OPEN
from infrastructure.internal_api.prices import InternalPrices
from infrastructure.price_file import NoPrices, PriceFile


class Api:
    """An internal API that answers as it is told, and counts."""

    def __init__(self) -> None:
        self.answer: object = {}
        self.asked: list[object] = []

    async def post(self, url: str, document: object) -> bytes:
        self.asked.append((url, document))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()


class Seconds:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def prices(api: Api, seconds: Seconds) -> InternalPrices:
    there: Any = api
    return InternalPrices(there, "http://api.example/prices", "usd", seconds=seconds)


def told(price: object = "0.0079", **other: object) -> dict[str, object]:
    return {"service": "sms", "currency": "usd", "price": price, **other}


async def test_a_price_is_asked_for_once_a_minute() -> None:
    api, seconds = Api(), Seconds()
    list_ = prices(api, seconds)
    api.answer = told()
    assert [await list_.price("sms") for _ in range(3)] == ["0.0079"] * 3
    assert api.asked == [("http://api.example/prices", {"service": "sms", "currency": "usd"})]
    seconds.now, api.answer = 61.0, told("0.01")
    assert await list_.price("sms") == "0.01"


async def test_an_unknown_service_is_asked_for_each_time() -> None:
    api = Api()
    list_ = prices(api, Seconds())
    api.answer = told(None)
    assert [await list_.price("sms") for _ in range(2)] == [None, None]
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[", b'"x"', told("-1"), told("1e3"), told("x"), told(0.5), told("1" * 33),
        told(service="mms"), told(currency="eur"), {"price": "1"}, InternalApiError("HTTP 500"),
        b"[" * 100_000,
    ],
)  # fmt: skip
async def test_what_is_no_price_is_no_answer(answer: object) -> None:
    api = Api()
    api.answer = answer
    with pytest.raises(Unavailable) as caught:
        await prices(api, Seconds()).price("sms")
    assert caught.value.reason is Reason.PRICE_UNAVAILABLE


async def test_who_does_not_answer_is_left_alone() -> None:
    api = Api()
    list_ = prices(api, Seconds())
    api.answer = InternalApiError("HTTP 500")
    for _ in range(FAILURES_TO_OPEN + 3):
        with pytest.raises(Unavailable):
            await list_.price("sms")
    assert len(api.asked) == FAILURES_TO_OPEN


async def test_a_file_of_prices(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"currency": "usd", "prices": {"sms": "0.0079"}}))
    list_ = PriceFile(path, "usd")
    assert (await list_.price("sms"), await list_.price("mms")) == ("0.0079", None)
    with pytest.raises(Unavailable):
        await NoPrices().price("sms")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no price list"), ("[]", "is no price list"),
        ('{"currency": "eur", "prices": {}}', "currency"),
        ('{"currency": "usd", "prices": {"S!": "1"}}', "a service has"),
        ('{"currency": "usd", "prices": {"sms": "-1"}}', "sms: a decimal"),
        ('{"currency": "usd", "prices": {"sms": 1}}', "is no price list"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_price_list_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"{path}: .*{words}"):
        PriceFile(path, "usd")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        PriceFile(tmp_path / "none.json", "usd")
