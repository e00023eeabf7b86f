"""Pictures of products: taken in piece by piece, checked, and only then sent to Stripe."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Final

from application.background.clock import Clock
from application.background.leases import Leases
from application.catalogue.alone import alone
from application.catalogue.commands import UploadPicture
from application.catalogue.fields import MAX_IMAGES
from application.catalogue.ports import (
    PictureGateway,
    PictureKey,
    PictureLink,
    ProductChange,
    ProductFields,
    ProductGateway,
)
from application.catalogue.violations import MAX_PICTURE_BYTES, picture_violations
from application.mirror.nouns import PRODUCTS
from application.mutations.failures import is_definite
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.mutations.stripe import Call
from application.requests.callers import Caller
from application.requests.violations import refuse
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.pictures import LONGEST_SIGNATURE, is_whole, type_of
from domain.products import Product

MEMORY_BYTES: Final = 16 * 1_048_576
"""What all pictures may take that are in memory at once, as large as they are announced."""

_COMES_AGAIN: Final = dt.timedelta(hours=1)
"""How long an upload that was cut off waits for its caller, who alone has the picture."""


@dataclass(frozen=True, slots=True)
class _Upload:
    """What is written down of an upload: never the picture itself, which its digest stands for."""

    product: str
    key: PictureKey


class ProductPictures:
    """Uploads pictures of products.

    The picture itself is nowhere written down. Where the process ends before Stripe has it, the
    caller who repeats the call brings it again.
    """

    def __init__(
        self,
        mutations: Mutations,
        products: ProductGateway,
        pictures: PictureGateway,
        leases: Leases,
        clock: Clock,
    ) -> None:
        self._products = products
        self._pictures = pictures
        self._leases = leases
        self._clock = clock
        self._free = MEMORY_BYTES
        self._held: dict[str, list[bytes]] = defaultdict(list)
        self._upload = mutations.method(
            "CatalogService.UploadProductImage", _Upload, Product, self._upload_steps
        )

    async def upload(
        self, caller: Caller, announced: UploadPicture, pieces: AsyncIterator[bytes]
    ) -> Product:
        """Add a picture to a product; the product as it is then.

        Raises InvalidArgument with a reason of its own for each thing that is wrong with a picture,
        FailedPrecondition (TOO_MANY_IMAGES), and RateLimited (OVERLOADED) for one too many at once.
        """
        request_id = announced.request_id
        refuse(chain(request_id_violations(request_id), picture_violations(announced)))
        if announced.size > MAX_PICTURE_BYTES:
            rule = f"at most {MAX_PICTURE_BYTES:,} bytes"
            raise _refused("size", rule, Reason.IMAGE_TOO_LARGE)
        with self._room_for(announced.size):
            content = await _gathered(announced.size, pieces)
            digest = hashlib.sha256(content).hexdigest()
            key = PictureKey(digest, len(content), type_of(content))
            with self._holding(digest, content):
                return await self._upload.run(caller, request_id, _Upload(announced.product, key))

    async def _upload_steps(self, steps: Steps, wanted: _Upload) -> Product:
        held = self._held.get(wanted.key.digest)
        content = held[-1] if held else None
        if not steps.was_sent("upload"):
            product = await steps.standing(PRODUCTS, wanted.product)
            _refuse_ninth(product.images)

        async def send(call: Call, params: PictureKey) -> PictureLink:
            if content is not None:
                return await self._pictures.upload(call, params, content)
            found = await self._pictures.find_uploaded(call, params, steps.started_at)
            return found or self._lost(steps.started_at)

        link = await steps.call_unmirrored(
            "upload", PictureLink, wanted.key, send, self._pictures.find_uploaded
        )
        try:
            return await self._show(steps, wanted.product, link)
        except BillingError as error:
            if is_definite(error):
                pictures = self._pictures
                await steps.call_unmirrored(
                    "expire", PictureLink, link, pictures.expire, pictures.find_expired
                )
            raise

    async def _show(self, steps: Steps, product_id: str, link: PictureLink) -> Product:
        """Add the link to the product's pictures; one at a time a product, or one would be lost."""
        async with alone(self._leases, steps, f"images/{product_id}"):
            images: Sequence[str] = ()
            if not steps.was_sent("images"):
                images = (await steps.standing(PRODUCTS, product_id)).images
                _refuse_ninth(images)
            change = ProductChange(product_id, ProductFields(images=(*images, link.url)))
            gateway = self._products
            return shown(
                PRODUCTS,
                await steps.call("images", PRODUCTS, change, gateway.update, gateway.find_updated),
            )

    def _lost(self, started_at: dt.datetime) -> PictureLink:
        """The refusal of an upload whose picture is not here: it may come again for an hour."""
        if self._clock.now() - started_at < _COMES_AGAIN:
            words = "the upload was cut off; repeat the call"
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, words)
        raise _refused("piece", "was cut off, and did not come again", Reason.UPLOAD_STALLED)

    @contextmanager
    def _room_for(self, size: int) -> Iterator[None]:
        """Room in memory for a picture of so many bytes. RateLimited (OVERLOADED) if it is full."""
        if size > self._free:
            words = "too many pictures at once"
            raise RateLimited(Reason.OVERLOADED, words, retry_after_seconds=1)
        self._free -= size
        try:
            yield
        finally:
            self._free += size

    @contextmanager
    def _holding(self, digest: str, content: bytes) -> Iterator[None]:
        """Keep the picture at hand while its call lasts; the steps take it from there."""
        self._held[digest].append(content)
        try:
            yield
        finally:
            self._held[digest].pop()
            if not self._held[digest]:
                del self._held[digest]


async def _gathered(size: int, pieces: AsyncIterator[bytes]) -> bytes:
    """The whole picture, refused as soon as something is wrong with it."""
    content = bytearray()
    is_known = False
    async for piece in pieces:
        content += piece
        if len(content) > size:
            raise _refused("piece", "more than was announced", Reason.IMAGE_SIZE_MISMATCH)
        if not is_known and len(content) >= LONGEST_SIGNATURE:
            is_known = True
            _refuse_type(content)
    if len(content) < size:
        raise _refused("piece", "less than was announced", Reason.IMAGE_SIZE_MISMATCH)
    _refuse_type(content)
    picture = bytes(content)
    if not is_whole(picture):
        raise _refused("piece", "the end of the picture is missing", Reason.IMAGE_TRUNCATED)
    return picture


def _refuse_type(content: bytes | bytearray) -> None:
    if not type_of(bytes(content[:LONGEST_SIGNATURE])):
        raise _refused("piece", "a JPEG, a PNG or a GIF", Reason.IMAGE_TYPE)


def _refuse_ninth(images: Sequence[str]) -> None:
    if len(images) >= MAX_IMAGES:
        raise FailedPrecondition(
            Reason.TOO_MANY_IMAGES,
            f"the product has {MAX_IMAGES} images, as many as Stripe allows; remove one first",
            subject=PRODUCTS.name,
        )


def _refused(field: str, rule: str, reason: Reason) -> InvalidArgument:
    return InvalidArgument([FieldViolation(field, rule)], reason=reason)
