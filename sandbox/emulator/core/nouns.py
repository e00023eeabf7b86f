"""What a noun declares: its fields, its parameters, its actions. Everything else is the core's.

The declarations are generic in the call that their actions run in: `core/call.py`, which knows
nouns, names them for the nouns' own files. They have no slots, which a frozen dataclass that is
made through a generic alias does not bear (Python 3.11).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

from sandbox.emulator.core.params import Parameters
from sandbox.emulator.core.values import Download, JsonObject, Scope

C = TypeVar("C")
"""The call that an action runs in."""

ROOTS: Final = ("/v1/", "/oauth/", "/files/")
"""Where whole paths begin; `/files/` stands for Stripe's other host, files.stripe.com."""

Run: TypeAlias = Callable[[C], JsonObject]
Send: TypeAlias = Callable[[C, JsonObject], Download]
View: TypeAlias = Callable[[JsonObject, int], JsonObject]
Include: TypeAlias = Callable[[C, JsonObject], JsonObject | None]
Reaction: TypeAlias = Callable[[C, JsonObject], object]
Older: TypeAlias = Callable[[C, JsonObject], JsonObject]


@dataclass(frozen=True)
class Action(Generic[C]):
    """One route of a noun.

    path: what follows `/v1/<collection>`, `{id}` being the object's and `{child}` that of an
    object inside of it; from the root when it begins with one of ROOTS.
    keyless: for a route that wants no API key: whose objects it works on, by the id in its path;
    None where the id says nothing.
    sends: the bytes that are sent instead of the JSON of what `run` answered.
    """

    method: str
    path: str
    parameters: Parameters
    run: Run[C]
    keyless: Callable[[str], Scope | None] | None = None
    sends: Send[C] | None = None


@dataclass(frozen=True)
class Happening(Generic[C]):
    """What happens to an object without an API call: the customer's bank answers, say.

    Tests and the demo bring it about through the control API.
    """

    parameters: Parameters
    run: Run[C]


@dataclass(frozen=True, slots=True)
class Nested:
    """A list inside of an object: the first objects of another noun that belong to it.

    noun: of its members, whose indexed `field` holds the owner's id.
    url: where the rest can be read, `{id}` being the owner's.
    """

    noun: str
    field: str
    url: str


@dataclass(frozen=True)
class Noun(Generic[C]):
    """A kind of object.

    object: Stripe's name of it, `payment_intent`; `title` is how errors speak of it, if otherwise,
        and `id_param` is the `param` of a 404.
    collection: its place in the URL, `payment_intents`.
    prefix, id_length: of its ids; `other_prefixes` of ids that also belong to it.
    fields: every field with its value in a new object; `id`, `object`, `created`, `livemode`
        are the core's.
    actions: its routes. happenings: what can befall it from outside, by name.
    expandable: dotted paths of fields that hold an id and can be expanded.
    includes: dotted paths of fields that are absent unless expanded, or whose ids do not tell
        their noun, with what makes them.
    nested: fields that list objects of another noun, cut off after the first ten.
    reactions: what this noun's objects do when an event of that type is recorded, whoever emits
        it: an invoice is paid when its payment intent succeeds.
    older: the object as an API version of before 2025-03-31 shows it, to a webhook endpoint.
    indexed: fields that its lists filter by equality.
    searchable: fields that a search query may name, besides metadata and its keys.
    sums: amounts that a snapshot adds up, a currency apart.
    view: fields that follow the clock, computed on reading from (object, now).
    stamps_mode: whether it has `livemode` on the wire.
    most: how many a scope keeps; the oldest fall out. None: all.
    """

    object: str
    collection: str
    prefix: str
    fields: JsonObject
    actions: tuple[Action[C], ...]
    id_length: int = 24
    happenings: Mapping[str, Happening[C]] = field(default_factory=dict)
    expandable: frozenset[str] = frozenset()
    includes: Mapping[str, Include[C]] = field(default_factory=dict)
    nested: Mapping[str, Nested] = field(default_factory=dict)
    reactions: Mapping[str, Reaction[C]] = field(default_factory=dict)
    older: Older[C] | None = None
    indexed: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    searchable: frozenset[str] = frozenset()
    view: View | None = None
    most: int | None = None
    stamps_mode: bool = True
    title: str = ""
    id_param: str = "id"
    other_prefixes: tuple[str, ...] = ()

    def url(self, action: Action[C]) -> str:
        """The full path template of an action."""
        if action.path.startswith(ROOTS):
            return action.path
        return f"/v1/{self.collection}{action.path}"


class Nouns(Generic[C]):
    """The nouns that an emulator knows, by name, by collection and by id prefix."""

    def __init__(self, nouns: tuple[Noun[C], ...]) -> None:
        self.all = nouns
        self._by_object = {noun.object: noun for noun in nouns}
        self._by_collection = {noun.collection: noun for noun in nouns}
        self._reacting: dict[str, list[tuple[Noun[C], Reaction[C]]]] = {}
        for noun in nouns:
            for kind, reaction in noun.reactions.items():
                self._reacting.setdefault(kind, []).append((noun, reaction))
        self._by_prefix = {
            prefix: noun for noun in nouns for prefix in (noun.prefix, *noun.other_prefixes)
        }

    def named(self, name: str) -> Noun[C]:
        """The noun of an `object` value; KeyError when unknown."""
        return self._by_object[name]

    def kind(self, name: str) -> Noun[C] | None:
        """The noun of an `object` value, None when unknown."""
        return self._by_object.get(name)

    def reacting(self, kind: str) -> list[tuple[Noun[C], Reaction[C]]]:
        """Who reacts to an event of this type."""
        return self._reacting.get(kind, [])

    def collected(self, collection: str) -> Noun[C] | None:
        """The noun at `/v1/<collection>`."""
        return self._by_collection.get(collection)

    def owning(self, identifier: str) -> Noun[C] | None:
        """The noun whose ids look like this one."""
        return self._by_prefix.get(identifier.partition("_")[0])

    def indexes(self) -> dict[str, tuple[str, ...]]:
        """The indexed fields of each noun."""
        return {noun.object: noun.indexed for noun in self.all}
