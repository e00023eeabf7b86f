"""The state before an update, as bytes until somebody looks at it.

Every update tells what it followed, and nearly nobody asks: only where two observations are of one
time, for a refund's fact, and to explain an object. So it goes from the event into the row, and out
of it, without being decoded (docs/decisions/0021).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

from typing_extensions import override

from application.mirror.ports import Noun

T = TypeVar("T")

ReadBefore = Callable[[Noun[Any], bytes], Any]
"""The state of a noun's object in `EncodedBefore.told`, or None where it is not told."""

_UNREAD: Final = object()


class EncodedBefore(Sequence[T | None]):
    """`Snapshot.befores` of an update: one state, decoded when it is first looked at.

    `told` is a JSON object, which a store keeps as it is.
    """

    __slots__ = ("_decode", "_state", "told")

    def __init__(self, told: bytes, decode: Callable[[bytes], T | None]) -> None:
        """`decode` gives the state, or None where it is not told; it raises nothing."""
        self.told: Final = told
        self._decode = decode
        self._state: Any = _UNREAD

    @property
    def _states(self) -> tuple[T | None]:
        if self._state is _UNREAD:
            self._state = self._decode(self.told)
        return (self._state,)

    @override
    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> T | None: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T | None]: ...

    @override
    def __getitem__(self, index: int | slice) -> T | Sequence[T | None] | None:
        return self._states[index]

    @override
    def __eq__(self, other: object) -> bool:
        if isinstance(other, EncodedBefore):
            return self.told == other.told or self._states == other._states
        return self._states == other

    __hash__ = None  # type: ignore[assignment]  # as the states, whose metadata is a mapping

    @override
    def __repr__(self) -> str:
        return repr(self._states)
