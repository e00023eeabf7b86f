"""Pictures: told apart by their first bytes, and whole only with their end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.pictures import is_whole, type_of
from tests.support.pictures import GIF, JPEG, PNG

PICTURES = {"gif": GIF, "png": PNG, "jpg": JPEG}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_known_and_whole_with_its_last_byte_alone(kind: str) -> None:
    picture = PICTURES[kind]
    assert type_of(picture) == kind
    assert is_whole(picture)
    assert is_whole(picture + b"more")
    assert not any(is_whole(picture[:size]) for size in range(len(picture)))


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF88a", b"RIFF\0\0\0\0WEBPVP8 ", b"%PDF-1.7", b"<svg/>", b"\xff\xd8", b"\x89PNG\r\n"],
)
def test_anything_else_is_none(content: bytes) -> None:
    assert type_of(content) == ""
    assert not is_whole(content)


def test_an_end_inside_of_data_is_no_end() -> None:
    extension = b"\x21\xfe\x02\x3b\x00\x00"  # a comment that holds the trailer's byte
    assert is_whole(GIF[:19] + extension + GIF[19:])
    assert not is_whole(GIF[:19] + extension)
    assert not is_whole(GIF[:19] + b"\x3b"), "without an image"
    assert not is_whole(PNG[:8] + PNG[-12:]), "without data"
    assert not is_whole(JPEG[:20] + b"\xff\xd9"), "without a scan"


def test_restarts_and_stuffed_bytes_belong_to_the_scan() -> None:
    data = JPEG[:-2] + b"\xff\x00\x01\xff\xd0\x02"
    assert not is_whole(data)
    assert is_whole(data + b"\xff\xff\xd9")


@given(st.sampled_from(sorted(PICTURES)), st.binary(max_size=300))
def test_whatever_follows_a_signature_is_answered(kind: str, rest: bytes) -> None:
    assert is_whole(PICTURES[kind][:10] + rest) in (True, False)
