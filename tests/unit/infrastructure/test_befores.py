"""A state before that is decoded when somebody looks, and otherwise like a tuple of it."""

from infrastructure.befores import EncodedBefore


class Decoder:
    """Decodes digits, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, told: bytes) -> int | None:
        self.calls += 1
        return int(told) if told.isdigit() else None


def test_it_is_decoded_once_and_not_for_its_length() -> None:
    decode = Decoder()
    befores = EncodedBefore(b"7", decode)
    assert (len(befores), bool(befores), befores.told, decode.calls) == (1, True, b"7", 0)
    assert (befores[0], list(befores), befores[:8], [*befores]) == (7, [7], (7,), [7])
    assert decode.calls == 1


def test_it_holds_what_it_tells_also_that_it_tells_none() -> None:
    decode = Decoder()
    assert 7 in EncodedBefore(b"7", decode)
    assert 8 not in EncodedBefore(b"7", decode)
    assert None not in EncodedBefore(b"7", decode)
    assert None in EncodedBefore(b"nothing", decode)


def test_it_equals_the_tuple_of_its_state_whichever_stands_first() -> None:
    decode = Decoder()
    befores = EncodedBefore(b"7", decode)
    assert befores == EncodedBefore(b"7", decode)
    assert decode.calls == 0, "the same bytes are the same state"
    assert (7,) == befores == (7,)
    assert befores == EncodedBefore(b"07", decode)
    assert befores != (8,) != befores
    assert befores != () != befores
    assert befores != EncodedBefore(b"8", decode)
