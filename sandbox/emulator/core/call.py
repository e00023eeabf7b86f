"""What an action works with: the request that it serves, and the emulator's verbs on objects."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeAlias
from urllib.parse import quote

from sandbox.emulator.core import errors, nouns
from sandbox.emulator.core.nouns import Nested
from sandbox.emulator.core.params import Parameters, references
from sandbox.emulator.core.store import Shelf
from sandbox.emulator.core.values import NO_REQUEST, JsonObject, Origin, Scope
from sandbox.emulator.core.world import World as WorldOf

Action: TypeAlias = nouns.Action["Call"]
Happening: TypeAlias = nouns.Happening["Call"]
Include: TypeAlias = nouns.Include["Call"]
Noun: TypeAlias = nouns.Noun["Call"]
Nouns: TypeAlias = nouns.Nouns["Call"]
Run: TypeAlias = nouns.Run["Call"]
World: TypeAlias = WorldOf["Call"]

NESTED: Final = 10
"""How many objects a list inside of another object shows (API reference, "Pagination")."""


@dataclass(slots=True)
class Call:
    """One run of an action.

    Runs are synchronous, so each is atomic and they never interleave.
    """

    world: World
    scope: Scope
    noun: Noun
    params: JsonObject
    id: str = ""
    child: str = ""
    origin: Origin = NO_REQUEST
    path: str = ""
    address: str = ""
    """The emulator's address as the request named it, without a slash at the end."""

    @property
    def now(self) -> int:
        """The emulator's time in seconds."""
        return self.world.clock.now()

    @property
    def account(self) -> JsonObject:
        """The account whose objects this call works on."""
        return self.world.accounts.get(self.scope.account)

    def shelf(self, noun: str | Noun) -> Shelf:
        """The shelf of a noun in this call's scope."""
        return self.world.store.shelf(self.scope, noun if isinstance(noun, str) else noun.object)

    def target(self) -> JsonObject:
        """The object that the path names; ApiError 404 when it is missing or deleted."""
        found = self.shelf(self.noun).get(self.id)
        if found is None:
            raise self.missing(self.noun, self.id, self.noun.id_param, 404)
        return found

    def find(self, noun: str, identifier: str, param: str) -> JsonObject:
        """The object that a parameter names; ApiError 400 when it is missing or deleted."""
        found = self.shelf(noun).get(identifier)
        if found is None:
            raise self.missing(self.world.nouns.named(noun), identifier, param, 400)
        return found

    @staticmethod
    def missing(noun: Noun, identifier: str, param: str, status: int) -> errors.ApiError:
        """The error of an object that is not there."""
        return errors.resource_missing(noun.title or noun.object, identifier, param, status)

    def check_references(self, parameters: Parameters) -> None:
        """ApiError 400 unless every object that the parameters refer to exists."""
        for param, noun, identifier in references(parameters, self.params):
            self.find(noun, identifier, param)

    def add(
        self, noun: str | Noun, fields: Mapping[str, object], identifier: str = ""
    ) -> JsonObject:
        """Make an object of the noun's fields overlaid with `fields`; emits nothing."""
        kind = self.world.nouns.named(noun) if isinstance(noun, str) else noun
        item: JsonObject = {
            "id": identifier or self.world.ids.mint(kind.prefix, kind.id_length),
            "object": kind.object,
            **kind.fields,
            "created": self.now,
        }
        if kind.stamps_mode:
            item["livemode"] = self.scope.livemode
        item.update(fields)
        shelf = self.shelf(kind)
        if shelf.get(item["id"]) is not None:
            message = f"{(kind.title or kind.object).capitalize()} already exists."
            raise errors.invalid(message, "id", "resource_already_exists")
        shelf.add(item, self.world.store.next_sequence())
        if kind.most is not None and len(shelf) > kind.most:
            shelf.drop_oldest()
        return item

    def change(self, item: JsonObject, patch: JsonObject, event: str = "") -> JsonObject:
        """Set fields of an object and emit `event` with what they were before.

        Values are replaced whole. No event is emitted when nothing changes.
        """
        previous = difference(item, patch)
        self.shelf(item["object"]).change(item, patch)
        if event and previous:
            self.emit(event, item, previous)
        return item

    def emit(self, kind: str, item: JsonObject, previous: JsonObject | None = None) -> None:
        """Record an event about an object as it is now."""
        self.world.events.emit(self.scope, kind, self.seen(item), previous, self.origin)
        self.react(kind, item)

    def react(self, kind: str, item: JsonObject) -> None:
        """Let other nouns react to what happened to an object, event or not."""
        for noun, reaction in self.world.nouns.reacting(kind):
            reaction(self.on(noun.object, {}), item)

    def later(self, item: JsonObject, instant: int, run: "Callable[[Call], object]") -> None:
        """Let `run` happen to an object once the clock has reached `instant`."""
        self.world.schedule.add(instant, self.scope, item["object"], item["id"], run)

    def seen(self, item: JsonObject) -> JsonObject:
        """The object as the wire shows it at this instant."""
        noun = self.world.nouns.named(item["object"])
        if noun.nested:
            item = {**item, **{name: self._nested(item, one) for name, one in noun.nested.items()}}
        return item if noun.view is None else noun.view(item, self.now)

    def members(self, item: JsonObject, noun: str, field: str) -> Iterator[JsonObject]:
        """The objects of a noun whose indexed `field` names this one, newest first."""
        return iter(self.shelf(noun).walk((field, item["id"]), (None, None), None, None))

    def _nested(self, item: JsonObject, nested: Nested) -> JsonObject:
        found = list(islice(self.members(item, nested.noun, nested.field), NESTED + 1))
        return {
            "object": "list",
            "data": [self.seen(member) for member in found[:NESTED]],
            "has_more": len(found) > NESTED,
            "url": nested.url.replace("{id}", quote(item["id"], safe="")),
        }

    def on(self, noun: str, params: JsonObject, identifier: str = "") -> "Call":
        """The same request, working on another noun."""
        return replace(self, noun=self.world.nouns.named(noun), params=params, id=identifier)


def difference(before: JsonObject, patch: JsonObject) -> JsonObject:
    """Earlier values of the fields that `patch` changes, into nested hashes.

    A key that a nested hash gains has been null (API reference, "The Event object",
    `data.previous_attributes`).
    """
    previous: JsonObject = {}
    for name, value in patch.items():
        old = before.get(name)
        if old == value:
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            gained = {key: None for key in value if key not in old}
            lost = {key: kept for key, kept in old.items() if key not in value}
            previous[name] = {**gained, **lost, **difference(old, _shared(old, value))}
        else:
            previous[name] = old
    return previous


def _shared(old: JsonObject, new: JsonObject) -> JsonObject:
    return {key: value for key, value in new.items() if key in old}


def begin(world: World, scope: Scope, noun: str, identifier: str) -> Call:
    """A call that no request asks for: something falls due, or an event is shown as of old."""
    return Call(world, scope, world.nouns.named(noun), {}, identifier)
