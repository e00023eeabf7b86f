"""Operations and reports as messages: every value has its name in the contract."""

import pytest
from billing_client.v1 import mirror_service_pb2 as pb

from application.upkeep.ports import Drift, ReportKind
from domain.errors import InvalidArgument
from domain.operations import MIRROR_KINDS, OperationState
from interfaces.grpc.mirror import mapping


def test_every_value_has_a_name_of_its_own() -> None:
    for named, values, contract in (
        (mapping.KINDS, MIRROR_KINDS, pb.Operation.Kind),
        (mapping.STATES, OperationState, pb.Operation.State),
        (mapping.REPORT_KINDS, ReportKind, pb.MirrorReport.Kind),
        (mapping.DRIFTS, Drift, pb.Finding.Drift),
    ):
        assert {*named} == {*values}
        assert {*named.values(), 0} == {*contract.values()}
        assert len({*named.values()}) == len(named)


def test_every_kind_is_read_back_and_no_other() -> None:
    assert [mapping.read_kind(value) for value in mapping.KINDS.values()] == [*mapping.KINDS]
    for value in (0, 77, -1):
        with pytest.raises(InvalidArgument) as refused:
            mapping.read_kind(value)
        assert refused.value.violations[0].field == "kind"
