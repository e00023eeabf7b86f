"""Form decoding: `a[b][c]`, `a[0]`, `a[]` (API reference, "Introduction": form-encoded bodies)."""

from typing import Final
from urllib.parse import parse_qsl

from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.values import Form

MAX_FIELDS: Final = 2_000
MAX_DEPTH: Final = 8


def decode(encoded: str) -> dict[str, Form]:
    """Decode a query string or body into nested hashes and arrays of text.

    Numbered keys stay a hash: only the parameter's declaration knows that it is an array.
    Raises ApiError 400 for what no client of Stripe's would send.
    """
    if not encoded:
        return {}
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise invalid(f"The request could not be read: {error}") from error
    form: dict[str, Form] = {}
    for key, value in pairs:
        if "\0" in key or "\0" in value:
            # From memory: no recording shows how Stripe words it.
            raise invalid("Invalid string: NUL characters cannot be sent", key.replace("\0", ""))
        _put(form, _segments(key), value)
    return form


def _segments(key: str) -> list[str]:
    if "[" not in key:
        return [key]
    head, _, rest = key.partition("[")
    if not head or not rest.endswith("]"):
        raise invalid(f"Invalid parameter name: {key}", key)
    segments = [head, *rest[:-1].split("][")]
    if len(segments) > MAX_DEPTH:
        raise invalid(f"Parameter is nested too deeply: {key}", key)
    return segments


def _put(form: dict[str, Form], segments: list[str], value: str) -> None:
    here: Form = form
    for depth, segment in enumerate(segments[:-1]):
        following = segments[depth + 1]
        if isinstance(here, list):
            here = _element(here, following)
        elif isinstance(here, dict):
            here = here.setdefault(segment, [] if following == "" else {})
        else:
            break
    last = segments[-1]
    if isinstance(here, list) and last == "":
        here.append(value)
    elif isinstance(here, dict) and last != "":
        here[last] = value
    else:
        raise invalid(f"Parameter is given in two shapes: {segments[0]}", segments[0])


def _element(array: list[Form], key: str) -> Form:
    """The hash that `a[][key]` speaks of: the last one, until it has that key."""
    last = array[-1] if array else None
    if not isinstance(last, dict) or key in last:
        array.append({})
    return array[-1]
