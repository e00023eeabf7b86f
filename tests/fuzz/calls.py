"""Calls of every method, made from the descriptors: most of them almost right."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.fuzz import mutate_bytes
from tests.fuzz.odd_values import Chance, odd_text
from tests.support.contract.tenant import METHODS

_MOST_DEPTH: Final = 5
_NUMBERS: Final = (
    0, 1, 2, 3, 7, 12, 50, 99, 100, 500, 999, 1_000, 10_000, 99_999_999, 100_000_000, 2**31 - 1,
    2**53 + 1, 2**63 - 1, -1, -100, -(2**31), -(2**63),
)  # fmt: skip
_SECONDS: Final = (
    0, 1, 1_767_225_600, 1_790_812_800, 1_795_824_000, 4_102_444_800, 253_402_300_799,
    253_402_300_800, 2**62, -1, -62_135_596_800, -62_135_596_801, -(2**62),
)  # fmt: skip
_NANOS: Final = (0, 0, 1, 999_999, 1_000_000, 999_999_999, 1_000_000_000, -1)
_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "currency": (*["usd"] * 7, "eur", "jpy", "isk", "kwd", "USD", "xxx", ""),
    "time_zone": ("Europe/Berlin", "UTC", "America/St_Johns", "Asia/Tokyo", "localtime", "", "+01"),
    "status": ("draft", "open", "paid", "void", "active", "canceled", "succeeded", "failed"),
    "behavior": ("void", "keep_as_draft", "mark_uncollectible", ""),
    "collection_method": ("send_invoice", "charge_automatically"),
    "reason": ("duplicate", "fraudulent", "requested_by_customer"),
    "email": ("zoe@example.com", "ada@example.com", "zoe", "zoe@", "Zoé@exämple.com", ""),
    "phone": ("+15555550100", "555-0100", "+4930123456", ""),
    "query": ("zoe", "zo ex", "555 0100", "izmir", "a b c d e f g h i j k l m n", "*", "%", ""),
    "locales": ("de", "en-GB", "auto", ""),
    "etag": ("", "", "", "x", '"1"'),
    "page_token": ("", "", "", "x"),
    "order_by": ("", "created desc", "created", "name", "created asc, name"),
}
"""What stands in a field of a name, often."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call: the name of its method, the bytes of its request, and who makes it.

    `how` tells what was made of the request after it was right; `who` names a kind of caller.
    """

    index: int
    name: str
    method: MethodDescriptor
    data: bytes
    how: str
    who: str

    @property
    def path(self) -> str:
        """Where it is sent."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


Ids = Mapping[str, Sequence[str]]
"""The ids of objects that there are, by noun."""


def fuzzed_call(seed: int, index: int, ids: Ids) -> Call:
    """The call of an index. Methods take turns."""
    chance = random.Random(f"call:{seed}:{index}")  # noqa: S311 - to be repeated, no secret
    names = sorted(METHODS)
    name = names[index % len(names)]
    method, _ = METHODS[name]
    request = _Maker(chance, index, ids).message(method.input_type, 0)
    data, how = request.SerializeToString(), "as it was made"
    if chance.random() < 0.1:
        data, how = mutate_bytes.mutated(chance, data)
    who = chance.choice(("known",) * 17 + ("stranger", "forger", "reader"))
    return Call(index, name, method, data, how, who)


class _Maker:
    def __init__(self, chance: Chance, index: int, ids: Ids) -> None:
        self._chance = chance
        self._index = index
        self._ids = ids
        # Some requests are nearly empty, some hold nearly all that there is.
        self._fullness = chance.choice((0.15, 0.4, 0.7, 0.95))
        self._oddness = chance.choice((0.0, 0.0, 0.05, 0.3))

    def message(self, kind: Descriptor, depth: int) -> Message:
        made: Message = GetMessageClass(kind)()
        if kind.full_name == "google.protobuf.Timestamp":
            self._fill_timestamp(made)
            return made
        for field in kind.fields:
            if field.name == "account":
                if self._chance.random() < 0.03:
                    made.account = odd_text(self._chance)  # type: ignore[attr-defined]
            elif self._chance.random() < self._share(field):
                self._fill(made, field, depth)
        return made

    def _share(self, field: FieldDescriptor) -> float:
        """How often a field is filled: what is required nearly always, what we give seldom."""
        behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if field_behavior_pb2.REQUIRED in behaviors or field.name == "request_id":
            return 1 - self._oddness / 4
        if field_behavior_pb2.OUTPUT_ONLY in behaviors:
            return self._oddness
        return 0.6 if field.name == "id" else self._fullness

    def _fill(self, made: Message, field: FieldDescriptor, depth: int) -> None:
        inner = field.message_type
        if inner is not None and depth == _MOST_DEPTH:
            return
        if inner is not None and inner.GetOptions().map_entry:
            self._fill_map(getattr(made, field.name), inner)
        elif field.is_repeated:
            many = self._chance.random() < 0.01
            values = getattr(made, field.name)
            for _ in range(300 if many else self._chance.choice((1, 1, 1, 2, 3))):
                if inner is not None:
                    values.add().CopyFrom(self.message(inner, depth + 1))
                else:
                    values.append(self._scalar(field))
        elif inner is not None:
            getattr(made, field.name).CopyFrom(self.message(inner, depth + 1))
        else:
            setattr(made, field.name, self._scalar(field))

    def _fill_map(self, values: Any, entry: Descriptor) -> None:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        for _ in range(self._chance.choice((1, 2, 60))):
            if value.message_type is None:
                values[self._scalar(key)] = self._scalar(value)

    def _fill_timestamp(self, made: Any) -> None:
        odd = self._chance.random() < self._oddness
        made.seconds = self._chance.choice(_SECONDS if odd else _SECONDS[2:5])
        made.nanos = self._chance.choice(_NANOS if odd else _NANOS[:1])

    def _scalar(self, field: FieldDescriptor) -> Any:
        return _SCALARS[field.cpp_type](self, field)

    def _text(self, field: FieldDescriptor) -> str:
        chance = self._chance
        if field.type == FieldDescriptor.TYPE_BYTES:
            return chance.randbytes(20)  # type: ignore[return-value]
        if chance.random() < self._oddness:
            return odd_text(chance)
        if field.name == "request_id":
            # Now and then one that was used before, for this or for another change.
            return f"r-{self._index if chance.random() < 0.95 else chance.randrange(200)}"
        if field.name in _WORDS:
            return chance.choice(_WORDS[field.name])
        if chance.random() < 0.9 and (noun := self._noun_of(field)):
            return chance.choice(self._ids[noun])
        if chance.random() < 0.2:
            return chance.choice(self._ids[chance.choice(list(self._ids))])
        return chance.choice(("Work", "Zoe Example", "", "a line\nand one more", "\u00e9" * 30))

    def _noun_of(self, field: FieldDescriptor) -> str:
        """Whose id a field takes, by its name or its message's; empty where that tells nothing."""
        owner = field.containing_type
        name = f"{owner.name if owner and field.name == 'id' else field.name}".lower()
        name = name.replace("_", "")
        return next((noun for noun in self._ids if noun.replace("_", "") in name), "")

    def _whole(self, field: FieldDescriptor) -> int:
        if field.name in ("quantity", "amount", "page_size") and self._chance.random() > 0.3:
            return self._chance.choice((1, 2, 3, 50, 500))
        bits = 32 if _is_narrow(field) else 64
        lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        odd = self._chance.random() < self._oddness
        number = self._chance.choice(_NUMBERS if odd else _NUMBERS[:12])
        return min(max(number, 0 if _is_unsigned(field) else lowest), highest)

    def _fraction(self, _: FieldDescriptor) -> float:
        return self._chance.choice((0.0, 0.5, -1.0, 1e300, float("inf"), float("nan")))

    def _truth(self, _: FieldDescriptor) -> bool:
        return self._chance.random() < 0.5

    def _choice(self, field: FieldDescriptor) -> int:
        values = [value.number for value in field.enum_type.values]
        return self._chance.choice((*values, 99, -1) if self._oddness else values)


def _is_narrow(field: FieldDescriptor) -> bool:
    return field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32)


def _is_unsigned(field: FieldDescriptor) -> bool:
    return field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)


_SCALARS: Final[Mapping[int, Callable[[_Maker, FieldDescriptor], Any]]] = {
    FieldDescriptor.CPPTYPE_STRING: _Maker._text,
    FieldDescriptor.CPPTYPE_INT32: _Maker._whole,
    FieldDescriptor.CPPTYPE_INT64: _Maker._whole,
    FieldDescriptor.CPPTYPE_UINT32: _Maker._whole,
    FieldDescriptor.CPPTYPE_UINT64: _Maker._whole,
    FieldDescriptor.CPPTYPE_DOUBLE: _Maker._fraction,
    FieldDescriptor.CPPTYPE_FLOAT: _Maker._fraction,
    FieldDescriptor.CPPTYPE_BOOL: _Maker._truth,
    FieldDescriptor.CPPTYPE_ENUM: _Maker._choice,
}
