"""Write docs/api.md: every RPC of the contract, who may call it, and for which reasons it fails.

All of it is read from the descriptors and the comments of the protos; `tools/protos.py` calls it.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from billing_client.v1 import errors_pb2, options_pb2
from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from interfaces.grpc.contract import CHANGES_STRIPE, reasons_of

COMMON: Final = (
    "TOKEN_MISSING", "TOKEN_INVALID", "SCOPE_MISSING", "INVALID_FIELDS", "STORE_UNAVAILABLE",
    "OVERLOADED", "CALLER_LIMITED", "SHUTTING_DOWN", "INTERNAL",
)  # fmt: skip
"""The reasons of every method: none declares them. So are NOT_FOUND of the account, which a method
declares where an object of its own may not be found, and OUTCOME_UNKNOWN of what changes something.
"""

SHARED: Final = {
    "change": CHANGES_STRIPE,
    "connection": frozenset({"STRIPE_NOT_CONNECTED", "STRIPE_CONNECTION_REVOKED"}),
    "read": frozenset({"STRIPE_RATE_LIMITED", "STRIPE_UNAVAILABLE", "STRIPE_NOT_UNDERSTOOD"}),
}
"""Reasons that many methods have together. The document lists each group once; the row of a method
links to the groups. The first group that fits is taken first."""

_ABOUT_SHARED: Final = {
    "change": "The RPC changes something at Stripe.",
    "connection": "The RPC needs the account's Stripe connection.",
    "read": "The RPC reads from Stripe, or may have to.",
}

_SERVICE_FIELD, _ENUM_FIELD, _MEMBER_FIELD = 6, 5, 2
"""Field numbers in descriptor.proto that make the paths of source locations."""

_PREFIX: Final = "ERROR_REASON_"
_HEAD: Final = """\
# The gRPC interface

<!-- Written by `make proto` from the protos in proto/billing/v1; edit those. -->

This page lists every RPC of `billing.v1`. Each request names the `account` to act for; an empty
`account` is the token's own. Each token needs the RPC's scope ([callers' tokens](tokens.md)). The
column *for* says who else may call: with `sub-accounts` an account may act for its sub-accounts,
with `operators` an operator may act for all accounts at once. The column *answers from* says where
a read finds its answer: in the mirror of Stripe, at Stripe itself, or in Billing's own data.

A refused call carries exactly one `google.rpc.ErrorInfo`. Its reason is one of the
[reasons](#reasons) at the end. Every RPC may fail with {common}. Every RPC may fail with NOT_FOUND
for an account that the caller may not act for. Every RPC that takes a `request_id` may fail with
OUTCOME_UNKNOWN. The row of an RPC names its further reasons. A word in lower case there, such as
[connection], stands for several reasons: see the [shared reasons](#shared-reasons).
"""


def api_table(descriptors: FileDescriptorSet) -> str:
    """The document, from descriptors with their source information."""
    files = [file for file in descriptor_files(descriptors) if file.service]
    common = ", ".join(COMMON)
    parts = [_wrapped(_HEAD.format(common=common))]
    for file in sorted(files, key=lambda file: file.name):
        comments = _comments(file)
        for number, service in enumerate(file.service):
            parts.append(_service(service, number, comments))
    parts += [_shared_reasons(), _reasons(descriptors)]
    return "\n".join(parts)


def descriptor_files(descriptors: FileDescriptorSet) -> Sequence[FileDescriptorProto]:
    """The files of the contract itself, without what they import."""
    return [file for file in descriptors.file if file.package == "billing.v1"]


def _service(
    service: ServiceDescriptorProto, number: int, comments: dict[tuple[int, ...], str]
) -> str:
    told = comments[_SERVICE_FIELD, number]
    lines = [
        f"## {service.name}\n",
        _about(told, service.name) + "\n",
        "| RPC | what it does | scope | for | answers from | reasons |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for place, method in enumerate(service.method):
        comment = comments[_SERVICE_FIELD, number, _MEMBER_FIELD, place]
        lines.append(_row(method, comment, told))
    return "\n".join(lines) + "\n"


def _row(method: MethodDescriptorProto, comment: str, of_service: str) -> str:
    rule = method.options.Extensions[options_pb2.authorization]
    callers = [
        word
        for word, allowed in (("sub-accounts", rule.sub_accounts), ("operators", rule.operators))
        if allowed
    ]
    reads = not rule.scope.endswith(".write")
    cells = (
        f"`{method.name}`" + (" (stream)" if method.server_streaming else ""),
        _about(comment, method.name),
        f"`{rule.scope}`",
        ", ".join(callers) or "-",
        (_source(comment) or _source(of_service) or "Billing") if reads else "-",
        ", ".join(_reason_cells(method)) or "-",
    )
    return f"| {' | '.join(cells)} |"


def _reason_cells(method: MethodDescriptorProto) -> Iterator[str]:
    """A method's own reasons, in the order of the contract, then links to the shared ones."""
    rest = reasons_of(method.options)
    groups: list[str] = []
    for name, reasons in SHARED.items():
        if reasons <= rest:
            groups.append(f"[{name}]")
            rest -= reasons
    yield from in_order(rest)
    yield from groups


def in_order(reasons: Iterable[str]) -> list[str]:
    """Reasons in the order of the contract."""
    return sorted(reasons, key=lambda name: errors_pb2.ErrorReason.Value(f"{_PREFIX}{name}"))


def _shared_reasons() -> str:
    """The table of shared reasons, and where the links of the rows lead."""
    lines = ["## Shared reasons\n", "| word | when | reasons |", "| --- | --- | --- |"]
    for name, reasons in SHARED.items():
        lines.append(f"| {name} | {_ABOUT_SHARED[name]} | {', '.join(in_order(reasons))} |")
    links = [f"[{name}]: #shared-reasons" for name in SHARED]
    return "\n".join([*lines, "", *links]) + "\n"


def _about(comment: str, name: str) -> str:
    """The first sentence of a comment, without the name that it begins with."""
    paragraph = " ".join(comment.strip().partition("\n\n")[0].split())
    sentence = re.split(r"(?<=\.)\s", paragraph, maxsplit=1)[0]
    words = sentence.removeprefix(f"{name} ")
    return _capital(words)


def _source(comment: str) -> str:
    """What a comment says that answers come from; empty where it says nothing of it."""
    told = " ".join(comment.split())
    found = re.findall(r"\b(?:from|in) (?:the )?(mirror|Stripe)\b(?!')", told)
    return ", ".join(dict.fromkeys(found))


def _reasons(descriptors: FileDescriptorSet) -> str:
    """The table of all reasons, from the comments of their values.

    ValueError for a comment that is not `STATUS: meaning. Example: example.`
    """
    (file,) = (
        file for file in descriptor_files(descriptors) if file.name.endswith("/errors.proto")
    )
    comments = _comments(file)
    lines = ["## Reasons\n", "| reason | status | meaning | example |", "| --- | --- | --- | --- |"]
    for number, value in enumerate(file.enum_type[0].value[1:], 1):
        words = " ".join(comments[_ENUM_FIELD, 0, _MEMBER_FIELD, number].split())
        parts = re.fullmatch(r"([A-Z_]+): (.+) Example: (.+)", words)
        if parts is None:
            raise ValueError(f"{value.name}: its comment needs a status, a meaning and an example")
        status, meaning, example = parts.groups()
        cells = (
            f"`{value.name.removeprefix(_PREFIX)}`",
            status,
            _capital(meaning),
            _capital(example),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _capital(words: str) -> str:
    return (words[:1].upper() + words[1:]).replace("|", "\\|")


def _comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return {tuple(one.path): one.leading_comments for one in file.source_code_info.location}


def _wrapped(text: str, width: int = 100) -> str:
    """Paragraphs of a text in lines of a width; comments and headings stay as they are."""
    return "\n\n".join(_lines(text.strip(), width)) + "\n"


def _lines(text: str, width: int) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield textwrap.fill(paragraph, width, break_on_hyphens=False, break_long_words=False)
