"""Pictures: of which type bytes are, and whether their end is there.

Only the structure is read, never a pixel. The formats are those that Stripe takes for a
`business_logo`: JPEG (ITU-T T.81), PNG (W3C, "Portable Network Graphics") and GIF (GIF89a).
"""

from typing import Final

PNG: Final = "png"
JPEG: Final = "jpg"
GIF: Final = "gif"

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_START: Final = b"\xff\xd8\xff"
_GIF_SIGNATURES: Final = (b"GIF87a", b"GIF89a")

LONGEST_SIGNATURE: Final = 8
"""So many bytes tell the type."""

_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG markers without a segment: TEM and the restarts."""


def type_of(content: bytes) -> str:
    """`png`, `jpg` or `gif`, by the first bytes; empty for anything else."""
    if content.startswith(_PNG_SIGNATURE):
        return PNG
    if content.startswith(_JPEG_START):
        return JPEG
    return GIF if content.startswith(_GIF_SIGNATURES) else ""


def is_whole(content: bytes) -> bool:
    """Whether a picture of one of the types is there to its end; bytes behind it do no harm."""
    reads = {PNG: _png_ends, JPEG: _jpeg_ends, GIF: _gif_ends}
    read = reads.get(type_of(content))
    return read is not None and read(content)


def _png_ends(content: bytes) -> bool:
    """Chunks follow each other up to IEND: length, type, data, checksum."""
    place, has_data = len(_PNG_SIGNATURE), False
    while place + 12 <= len(content):
        size, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        place += 12 + size
        has_data = has_data or kind == b"IDAT"
        if kind == b"IEND":
            return has_data and place <= len(content)
    return False


def _jpeg_ends(content: bytes) -> bool:
    """Segments follow each other up to a scan; behind the scans is the end of the image."""
    place, has_scan = 2, False
    while place + 2 <= len(content):
        if content[place] != 0xFF:
            return False
        marker = content[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        place += 2
        if marker == 0xD9:
            return has_scan
        if marker in _STANDALONE:
            continue
        size = int.from_bytes(content[place : place + 2])
        if size < 2:
            return False
        place += size
        if marker == 0xDA:
            has_scan, place = True, _behind_scan(content, place)
    return False


def _behind_scan(content: bytes, place: int) -> int:
    """Where the next marker is behind the compressed data of a scan."""
    while True:
        place = content.find(b"\xff", place)
        if place < 0 or place + 1 >= len(content):
            return len(content)
        if content[place + 1] != 0 and content[place + 1] not in _STANDALONE:
            return place
        place += 2


def _gif_ends(content: bytes) -> bool:
    """Blocks follow each other up to the trailer, with at least one image."""
    if len(content) < 13:
        return False
    place, has_image = 13 + _colours(content[10]), False
    while place < len(content):
        kind = content[place]
        if kind == 0x3B:
            return has_image
        if kind == 0x21:
            place = _behind_blocks(content, place + 2)
        elif kind == 0x2C and place + 10 <= len(content):
            place = _behind_blocks(content, place + 11 + _colours(content[place + 9]))
            has_image = place <= len(content)
        else:
            return False
    return False


def _colours(flags: int) -> int:
    """How many bytes a table of colours has, where there is one."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(content: bytes, place: int) -> int:
    """Behind sub-blocks, each with its size first; one of no size ends them."""
    while place < len(content):
        size = content[place]
        place += 1 + size
        if size == 0:
            return place
    return len(content) + 1
