"""The table of scopes in docs/tokens.md, from the contract: what each allows and weighs."""

import re
from collections import defaultdict
from typing import Final

from application.events.use_cases import PAYLOAD_SCOPE
from application.notes.use_cases import ADMIN_SCOPE
from bootstrap.tokens import list_scopes, services_of_the_contract
from interfaces.grpc.core.methods import methods_of
from interfaces.grpc.interceptors.limits import weight_of

BEGIN: Final = "<!-- The table is written by `make proto` from the contract. -->"
END: Final = "<!-- Here it ends. -->"

_BESIDE: Final = {
    PAYLOAD_SCOPE: "together with `events.read`: see payloads too, which hold personal data",
    ADMIN_SCOPE: "together with `notes.write`: change and delete the notes of others",
}
"""Scopes that no method needs alone."""

_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def with_table(page: str) -> str:
    """The page with the table in its place. ValueError where the place is not marked."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/tokens.md: {BEGIN} and {END} are needed")
    return f"{before}{BEGIN}\n\n{_table()}\n{END}{after}"


def _table() -> str:
    allowed = defaultdict(list)
    for path, method in methods_of(services_of_the_contract()).items():
        allowed[method.scope].append(_WORDS.sub(" ", path.rpartition("/")[2]).lower())
    lines = ["| scope | a call counts | allows |", "| --- | --- | --- |"]
    for scope in list_scopes():
        told = ", ".join(sorted(allowed[scope])) or _BESIDE[scope]
        weight = str(weight_of(scope)) if allowed[scope] else "-"
        lines.append(f"| `{scope}` | {weight} | {told} |")
    return "\n".join(lines) + "\n"
