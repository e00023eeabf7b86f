"""From method and path to a noun's action."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_plus

from sandbox.emulator.core.call import Action, Noun, Nouns

MAX_SEGMENTS: Final = 8


@dataclass(frozen=True, slots=True)
class Route:
    """An action at its place: `template` is what faults and statistics name it by."""

    method: str
    template: str
    noun: Noun
    action: Action

    @property
    def name(self) -> str:
        """`POST /v1/charges/{id}`."""
        return f"{self.method} {self.template}"


@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    variable: "_Node | None" = None
    routes: dict[str, Route] = field(default_factory=dict)


def decoded(segment: str) -> str:
    """An id from a path. A plus sign is a space: so Stripe's SDKs send one."""
    return unquote_plus(segment)


class Router:
    """A tree of path segments; a literal segment wins over `{id}`."""

    def __init__(self, nouns: Nouns) -> None:
        self._root = _Node()
        for noun in nouns.all:
            for action in noun.actions:
                self._add(Route(action.method, noun.url(action), noun, action))

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.template.strip("/").split("/"):
            if segment.startswith("{"):
                node.variable = node = node.variable or _Node()
            else:
                node = node.literal.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"two actions at {route.name}")
        node.routes[route.method] = route

    def match(self, method: str, raw_path: str) -> tuple[Route, tuple[str, str]] | None:
        """The route with the id and the child's id of its path (empty without), or None.

        `raw_path` is as it came: ids may hold slashes, which are encoded in it.
        """
        segments = [decoded(segment) for segment in raw_path.strip("/").split("/")]
        if len(segments) > MAX_SEGMENTS:
            return None
        node = self._root
        identifiers: list[str] = []
        for segment in segments:
            following = node.literal.get(segment)
            if following is None:
                if node.variable is None or not segment:
                    return None
                following = node.variable
                identifiers.append(segment)
            node = following
        route = node.routes.get(method)
        if route is None:
            return None
        identifier, child, *_ = *identifiers, "", ""
        return route, (identifier, child)
