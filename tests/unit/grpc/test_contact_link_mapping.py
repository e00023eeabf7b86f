"""Linkings as messages: every state has its name, and every count its field."""

from billing_client.v1 import contact_link_service_pb2 as pb

from domain.operations import (
    Operation,
    OperationKind,
    OperationOptions,
    OperationProgress,
    OperationState,
)
from interfaces.grpc.contacts import mapping
from tests.support.fakes.stores import NOON


def test_every_state_has_a_name_of_its_own() -> None:
    assert {*mapping.STATES} == {*OperationState}
    assert {*mapping.STATES.values(), 0} == {*pb.Linking.State.values()}


def test_a_linking_tells_its_counts_and_why_it_waits() -> None:
    progress = OperationProgress(
        "link", read=10, total=99, linked=1, created=2, unmatched=3, already_linked=4
    )
    operation = Operation(
        "1", "acct_1", OperationKind.LINK_CONTACTS, OperationOptions(account="acme"), NOON,
        OperationState.RUNNING, progress,
    ).waiting("STORE_UNAVAILABLE", "the store does not answer", NOON)  # fmt: skip
    message = mapping.linking_message(operation)
    assert (message.customer_count, message.read_count) == (99, 10)
    assert (message.linked_count, message.created_count) == (1, 2)
    assert (message.unmatched_count, message.already_linked_count) == (3, 4)
    assert message.error_message == "the store does not answer"
    assert not message.HasField("finish_time")
