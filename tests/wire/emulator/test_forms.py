"""Form decoding, and that whatever comes is either read or refused as Stripe would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.emulator.core.errors import ApiError
from sandbox.emulator.core.forms import decode
from sandbox.emulator.core.params import Boolean, Hash, Integer, ListOf, Metadata, Span, Text, read

PARAMETERS = {
    "a": Hash(fields={"b": Hash(fields={"c": Integer()})}),
    "flag": Boolean(),
    "list": ListOf(kind=Text()),
    "items": ListOf(kind=Hash(fields={"price": Text(), "quantity": Integer()})),
    "metadata": Metadata(),
    "created": Span(),
}


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        ("a[b][c]=7", {"a": {"b": {"c": 7}}}),
        ("a%5Bb%5D%5Bc%5D=7", {"a": {"b": {"c": 7}}}),
        ("list[0]=x&list[1]=y", {"list": ["x", "y"]}),
        ("list[10]=z&list[9]=y", {"list": ["y", "z"]}),
        ("list[]=x&list[]=y", {"list": ["x", "y"]}),
        (
            "items[][price]=p&items[][quantity]=2&items[][price]=q",
            {"items": [{"price": "p", "quantity": 2}, {"price": "q"}]},
        ),
        ("items[0][price]=p", {"items": [{"price": "p"}]}),
        ("metadata[k%20y]=v+w", {"metadata": {"k y": "v w"}}),
        ("flag=true", {"flag": True}),
        ("created[gte]=5&created[lt]=9", {"created": (5, 9)}),
        ("created=5", {"created": (5, 6)}),
        ("", {}),
    ],
)
def test_shapes(encoded: str, expected: object) -> None:
    assert read(PARAMETERS, decode(encoded)) == expected


@pytest.mark.parametrize(
    "encoded",
    ["a=1", "a[b]=1", "list=x", "list[x]=1", "a[b][c]=1&a=2&a[b]=3", "[x]=1", "a[b=1", "flag=maybe",
     "metadata[a][b]=c", "created[gte]=x", "&".join(f"k{n}=v" for n in range(2001)),
     "a" + "[a]" * 9 + "=1"],
)  # fmt: skip
def test_refusals(encoded: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(PARAMETERS, decode(encoded))
    assert refused.value.status == 400


@given(st.text(alphabet="ab[]=&%0159 lists", max_size=60))
def test_nothing_else_ever_escapes(encoded: str) -> None:
    assert status(encoded) in (200, 400)


def status(encoded: str) -> int:
    try:
        read(PARAMETERS, decode(encoded))
    except ApiError as error:
        return error.status
    return 200
