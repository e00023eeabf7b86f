"""Single facts, as they are asked for and told."""

from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import subscriber_figures_pb2 as figures_pb

from application.analytics.fact_rows import ExplainFacts, FactsExplained, ListRestatedFacts
from application.analytics.trust import Trust
from application.requests.paging import Page
from domain.errors import FieldViolation
from domain.facts import Fact
from interfaces.grpc.analytics.trust_mapping import trust_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message


def read_restated(request: pb.ListRestatementsRequest) -> ListRestatedFacts:
    """Of which series restatements are to be listed."""
    return ListRestatedFacts(request.series, request.page_size, request.page_token)


def restated_message(page: Page[Fact], trust: Trust) -> pb.ListRestatementsResponse:
    """A page of facts of a time that was closed."""
    return pb.ListRestatementsResponse(
        facts=map(_fact, page.items),
        next_page_token=page.next_page_token,
        trust=trust_message(trust),
    )


def read_facts(request: pb.ExplainFigureRequest, violations: list[FieldViolation]) -> ExplainFacts:
    """Which figure of facts is to be explained."""
    if request.reporting_categories:
        violations.append(
            FieldViolation("reporting_categories", "are of the ledger, and of no series of facts")
        )
    return ExplainFacts(
        start=read_instant(request, "start_time", violations),
        end=read_instant(request, "end_time", violations),
        series=request.series,
        currency=request.currency,
        kinds=tuple(request.kinds),
        as_of=read_instant(request, "as_of", violations),
        page_size=request.page_size,
        page_token=request.page_token,
    )


def explained_message(explained: FactsExplained) -> pb.ExplainFigureResponse:
    """A page of a figure's facts, and what those of all pages add up to."""
    return pb.ExplainFigureResponse(
        facts=map(_fact, explained.page.items),
        fact_amounts=[_amount(code, amount) for code, amount in explained.amounts.items()],
        fact_count=explained.count,
        next_page_token=explained.page.next_page_token,
        known_time=timestamp_message(explained.known_at),
        trust=trust_message(explained.trust),
    )


def _fact(fact: Fact) -> figures_pb.Fact:
    said = fact.statement
    return figures_pb.Fact(
        series=said.series,
        subject=said.subject,
        generation=fact.generation,
        time=timestamp_message(said.at),
        known_time=timestamp_message(fact.known_at),
        kind=said.kind,
        cause=said.cause,
        amount=_amount(said.currency, said.amount) if said.currency else None,
        count=said.count,
        customer=said.customer,
        product=said.product,
        source=said.source,
        basis=said.basis,
        restates=fact.restates,
        late=fact.late,
    )


def _amount(currency: str, amount: int) -> figures_pb.FactAmount:
    return figures_pb.FactAmount(currency=currency, ten_thousandths=amount)
