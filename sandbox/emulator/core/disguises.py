"""Disguises: objects that are shown as other JSON than they are, however odd that is."""

from typing import Any

import msgspec

from sandbox.emulator.core.values import JsonObject


class Disguises:
    """What stands in answers in the place of objects, by account and id."""

    def __init__(self) -> None:
        self._bodies: dict[tuple[str, str], msgspec.Raw] = {}

    def set(self, account: str, identifier: str, body: str) -> None:
        """Show the object as this JSON text from now on; empty: as it is."""
        self._bodies.pop((account, identifier), None)
        if body:
            self._bodies[account, identifier] = msgspec.Raw(body.encode())

    def worn(self, account: str, result: JsonObject) -> Any:
        """An answer, an object or a page of them, with what is disguised in it disguised."""
        if not self._bodies:
            return result
        if result.get("object") == "list":
            return {**result, "data": [self._shown(account, item) for item in result["data"]]}
        return self._shown(account, result)

    def _shown(self, account: str, item: JsonObject) -> Any:
        return self._bodies.get((account, str(item.get("id"))), item)
