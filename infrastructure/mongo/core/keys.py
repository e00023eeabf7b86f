"""Documents whose keys are somebody else's text, such as the metadata of a tenant's own objects.

MongoDB holds no key with a NUL, and its driver takes a document with `$ref` for a reference: such
keys are escaped, and the document that holds them says so. All others, nearly all, are kept as they
are, and cost a look at their JSON (2 us for a customer, 7 for a long invoice).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from infrastructure.documents import to_json
from infrastructure.mongo.core.collection import Document

_ESCAPED: Final = "%"
"""A document with this key, which no escaped one is like, has escaped keys at whatever depth."""

_TELLTALE: Final = (b"\\u0000", b'"$', b'"%"')
"""What the JSON of a document with such keys has, and that of a few others."""


def storable(document: Document) -> Document:
    """Plain data as MongoDB can hold it; see `restored`."""
    told = to_json(document)
    if not any(sign in told for sign in _TELLTALE):
        return document
    return {**_renamed(document, _escape), _ESCAPED: True}


def restored(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The plain data of which `storable` made a document."""
    if _ESCAPED not in document:
        return document
    told = {key: value for key, value in document.items() if key != _ESCAPED}
    data: Document = _renamed(told, _unescape)
    return data


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {rename(key): _renamed(one, rename) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(one, rename) for one in value]
    return value


def _escape(key: str) -> str:
    return key.replace("%", "%25").replace("$", "%24").replace("\0", "%00")


def _unescape(key: str) -> str:
    return key.replace("%00", "\0").replace("%24", "$").replace("%25", "%")
