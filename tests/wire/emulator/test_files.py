"""Files: uploaded at their own address, shown with a key, shared by links."""

import io
from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.running import RunningEmulator
from sandbox.emulator.settings import PLATFORM_KEY

DAY = 86_400
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 40
PDF = b"%PDF-1.7" + b"\0" * 40
KEY = {"Authorization": f"Bearer {PLATFORM_KEY}"}


def named(content: bytes, name: str = "logo.png") -> io.BytesIO:
    file = io.BytesIO(content)
    file.name = f"folder/{name}"
    return file


async def fetched(url: str | None, headers: dict[str, str] | None = None) -> tuple[int, str, bytes]:
    assert url is not None
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, answer.content_type, await answer.read()


async def test_a_logo_lasts_and_is_shared_by_its_link(client: stripe.StripeClient) -> None:
    file = await client.v1.files.create_async(
        {
            "file": named(PNG),
            "purpose": "business_logo",
            "file_link_data": {"create": True, "metadata": {"product": "prod_1"}},
        }
    )
    assert (file.filename, file.type, file.size) == ("logo.png", "png", len(PNG))
    assert (file.expires_at, file.purpose, "content" in file) == (None, "business_logo", False)
    assert (await fetched(file.url))[0] == 401
    assert await fetched(file.url, KEY) == (200, "image/png", PNG)
    assert file.links is not None
    link = file.links.data[0]
    assert (link.file, link.expired, link.metadata.to_dict()) == (
        file.id, False, {"product": "prod_1"},
    )  # fmt: skip
    assert await fetched(link.url) == (200, "image/png", PNG)
    assert (await client.v1.files.retrieve_async(file.id)).id == file.id
    listed = await client.v1.files.list_async({"purpose": "business_logo"})
    assert [one.id for one in listed.data] == [file.id]


async def test_a_link_ends_when_told(client: stripe.StripeClient, control: ControlClient) -> None:
    file = await client.v1.files.create_async({"file": named(JPEG), "purpose": "business_logo"})
    links = client.v1.file_links
    link = await links.create_async({"file": file.id, "expand": ["file"]})
    assert isinstance(link.file, stripe.File)
    assert (link.expires_at, link.livemode) == (None, False)
    expired = await links.update_async(link.id, {"expires_at": "now"})
    assert expired.expired
    assert (await fetched(link.url))[0] == 404
    with pytest.raises(stripe.InvalidRequestError):
        await links.update_async(link.id, {"metadata": {"a": "b"}})
    now = await control.now()
    timed = await links.create_async({"file": file.id, "expires_at": now + 100})
    assert (await fetched(timed.url))[0] == 200
    await control.advance_clock(101)
    assert (await links.retrieve_async(timed.id)).expired
    assert (await fetched(timed.url))[0] == 404
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await links.create_async({"file": file.id, "expires_at": now})
    assert refused.value.param == "expires_at"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await links.create_async({"file": "file_unknown"})
    assert refused.value.code == "resource_missing"
    assert len((await links.list_async({"file": file.id})).data) == 2


async def test_evidence_expires(client: stripe.StripeClient, control: ControlClient) -> None:
    file = await client.v1.files.create_async({"file": named(PDF), "purpose": "dispute_evidence"})
    assert file.expires_at == file.created + 270 * DAY
    link = await client.v1.file_links.create_async({"file": file.id})
    assert await fetched(link.url) == (200, "application/pdf", PDF)
    await control.advance_clock(270 * DAY + 1)
    assert (await fetched(link.url))[0] == 404
    assert (await fetched(file.url, KEY))[0] == 404


@pytest.mark.parametrize(
    ("content", "purpose", "param"),
    [
        (b"RIFF\0\0\0\0WEBP", "business_logo", "file"),
        (PDF, "business_logo", "file"),
        (PNG + b"\0" * (512 << 10), "business_logo", "file"),
        (b"", "business_logo", "file"),
        (b"GIF89a", "dispute_evidence", "file"),
        (PNG, "product_image", "purpose"),
    ],
)
async def test_what_is_refused(
    client: stripe.StripeClient, content: bytes, purpose: str, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.files.create_async({"file": named(content), "purpose": purpose})
    assert refused.value.param == param
    assert (await client.v1.files.list_async()).data == []


async def test_some_files_are_kept_to_themselves(client: stripe.StripeClient) -> None:
    file = await client.v1.files.create_async({"file": named(PNG), "purpose": "identity_document"})
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.file_links.create_async({"file": file.id})
    assert (await fetched(file.url, KEY))[0] == 400


async def test_a_key_makes_one_file_of_a_content(client: stripe.StripeClient) -> None:
    create: Any = client.v1.files.create_async
    once = {"idempotency_key": "once"}
    first = await create({"file": named(PNG), "purpose": "business_logo"}, dict(once))
    again = await create({"file": named(PNG), "purpose": "business_logo"}, dict(once))
    assert again.id == first.id
    with pytest.raises(stripe.IdempotencyError):
        await create({"file": named(JPEG), "purpose": "business_logo"}, dict(once))


async def test_files_have_an_address_of_their_own(emulator: RunningEmulator) -> None:
    form = aiohttp.FormData({"purpose": "business_logo"})
    form.add_field("file", PNG, filename="logo.png")
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.post(f"{emulator.url}/v1/files", data=form) as answer,
    ):
        assert answer.status == 404
    assert (await fetched(f"{emulator.files_url}/links/nonsense"))[0] == 404
