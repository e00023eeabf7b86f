"""Search (docs, "Search"; API reference, "Search query language").

As at Stripe it lags: an object is found some time after it was made, so it cannot be used to
read back what was just written.
"""

import re
from collections.abc import Callable
from itertools import islice
from typing import Final, TypeAlias

from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.params import Integer, Parameters, Text
from sandbox.emulator.core.values import JsonObject

Match: TypeAlias = Callable[[JsonObject], bool]

LAG_SECONDS: Final = 2
"""How long an object stays unfindable; Stripe says "less than a minute"."""

MAX_CLAUSES: Final = 10

_CLAUSE: Final = re.compile(
    r"""\s*(?P<not>-?)(?P<field>[a-z_.]+)(?:\[["'](?P<key>[^"']{1,40})["']\])?"""
    r"""\s*(?P<relation>:|~|>=|<=|>|<)\s*"""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>-?\d+|null))\s*"""
)
_JOINT: Final = re.compile(r"(AND|OR|and|or)\b|")

_PARAMETERS: Final[Parameters] = {
    "query": Text(required=True),
    "limit": Integer(least=1, most=100),
    "page": Text(),
}


def searched() -> Action:
    """`GET /v1/<collection>/search` over the fields that the noun declares as searchable."""

    def run(call: Call) -> JsonObject:
        return _page(call, _parsed(call.noun, call.params["query"]))

    return Action("GET", "/search", _PARAMETERS, run)


def _page(call: Call, match: Match) -> JsonObject:
    """A page of matches, newest first; `page` is the id that the one before ended with."""
    shelf, limit = call.shelf(call.noun), call.params.get("limit", 10)
    after = None
    if "page" in call.params:
        call.find(call.noun.object, call.params["page"], "page")
        after = shelf.key(call.params["page"])
    walk = shelf.walk(None, (None, call.now - LAG_SECONDS + 1), after, None)
    found = list(islice((item for item in walk if match(item)), limit + 1))
    more = len(found) > limit
    return {
        "object": "search_result",
        "data": [call.seen(item) for item in found[:limit]],
        "has_more": more,
        "next_page": found[limit - 1]["id"] if more else None,
        "url": call.path,
    }


def _parsed(noun: Noun, query: str) -> Match:
    """The test that a query asks for: clauses joined by AND, or by OR, never both."""
    matches: list[Match] = []
    joints: set[str] = set()
    place = 0
    for _ in range(MAX_CLAUSES):
        clause = _CLAUSE.match(query, place)
        if clause is None:
            raise invalid("We were unable to parse your search query.", "query")
        matches.append(_clause(noun, clause))
        place = clause.end()
        if place == len(query):
            break
        joint = _JOINT.match(query, place)
        word = joint.group(0) if joint is not None else ""
        joints.add(word.upper() or "AND")
        place += len(word)
    else:
        raise invalid(f"A search query has at most {MAX_CLAUSES} clauses.", "query")
    if len(joints) > 1:
        raise invalid("A search query cannot combine AND and OR.", "query")
    if joints == {"OR"}:
        return lambda item: any(match(item) for match in matches)
    return lambda item: all(match(item) for match in matches)


def _clause(noun: Noun, clause: re.Match[str]) -> Match:
    field, key = clause["field"], clause["key"]
    if field not in noun.searchable and not (field == "metadata" and key is not None):
        raise invalid(f"Field `{field}` is an unsupported search field.", "query")
    wanted = next(text for text in (clause["double"], clause["single"], clause["bare"])
                  if text is not None)  # fmt: skip
    relation = clause["relation"]
    null = clause["bare"] == "null"

    def match(item: JsonObject) -> bool:
        value = item["metadata"].get(key) if field == "metadata" else item.get(field)
        if null:
            return value is None
        return value is not None and _related(relation, value, wanted)

    return (lambda item: not match(item)) if clause["not"] else match


def _related(relation: str, value: object, wanted: str) -> bool:
    """Whether a value stands in a relation to the wanted one; text without regard to case."""
    if isinstance(value, int) and not isinstance(value, bool) and wanted.lstrip("-").isdecimal():
        number = int(wanted)
        return {
            ":": value == number,
            "~": False,
            ">": value > number,
            ">=": value >= number,
            "<": value < number,
            "<=": value <= number,
        }[relation]
    text = str(value).lower()
    return wanted.lower() in text if relation == "~" else text == wanted.lower()
