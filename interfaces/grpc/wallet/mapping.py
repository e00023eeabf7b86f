"""Wallets, their entries and settings."""

from collections.abc import Sequence

from billing_client.v1 import wallet_service_pb2 as pb

from application.payment_methods.use_cases import PreparedSetup
from application.requests.paging import Page
from application.wallet.commands import Adjustment, AdjustmentKind, AutoReloadValues, Span
from application.wallet.costs import SERVICE
from application.wallet.preparing import PreparedMethod
from application.wallet.rebilling import Rebilling
from application.wallet.usage import DESCRIPTION
from application.wallet.use_cases import WalletView
from domain.errors import FieldViolation
from domain.ledger_entries import FIRST_DIGEST, Entry, LedgerAccount
from domain.wallets import WalletSettings
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message
from interfaces.grpc.payment_methods.mapping import method_message, setup_message


def wallet_message(view: WalletView) -> pb.AccountWallet:
    """A wallet as it stands."""
    wallet, head = view.wallet, view.head
    currency = head.currency if head else wallet.currency
    return pb.AccountWallet(
        account=wallet.account,
        creditor=wallet.parent or "",
        available=money_message(head.available_after if head else 0, currency),
        held=money_message(head.held_after if head else 0, currency),
        overdraft=money_message(head.overdraft_after if head else 0, currency),
        sequence=head.sequence if head else 0,
        digest=head.digest if head else FIRST_DIGEST,
        settings=settings_message(view.settings),
        stripe_account=view.stripe_account,
        customer=view.customer,
        payment_methods=map(method_message, view.methods),
    )


def entry_message(entry: Entry) -> pb.WalletEntry:
    """An entry. What the platform asks of the parent, a sub-account does not see."""
    return pb.WalletEntry(
        sequence=entry.sequence,
        kind=entry.kind,
        amount=money_message(entry.posted(LedgerAccount.AVAILABLE), entry.currency),
        available_after=money_message(entry.available_after, entry.currency),
        held_after=money_message(entry.held_after, entry.currency),
        exact=entry.exact,
        quantity=entry.quantity,
        service=entry.details.get(SERVICE, ""),
        description=entry.details.get(DESCRIPTION, ""),
        reference=entry.reference,
        actor=entry.actor,
        create_time=timestamp_message(entry.created_at),
        postings=[
            pb.WalletPosting(
                ledger_account=posting.account,
                amount=money_message(posting.amount, posting.currency),
            )
            for posting in entry.postings
        ],
        digest=entry.digest,
    )


def entries_message(page: Page[Entry]) -> pb.ListEntriesResponse:
    """A page of entries."""
    return pb.ListEntriesResponse(
        entries=map(entry_message, page.items), next_page_token=page.next_page_token
    )


def settings_message(settings: WalletSettings) -> pb.WalletSettings:
    """What the owner has set."""
    auto = settings.auto_reload
    message = pb.WalletSettings(etag=settings.etag)
    if auto is not None:
        message.auto_reload.CopyFrom(
            pb.AutoReload(
                threshold=auto.threshold,
                amount=auto.amount,
                payment_method=auto.payment_method,
                most_per_charge=auto.most_per_charge,
                most_per_day=auto.most_per_day,
                off_because=auto.off_because,
            )
        )
    return message


def rebilling_settings_message(settings: WalletSettings) -> pb.RebillingSettings:
    """What the creditor has set."""
    return pb.RebillingSettings(multipliers=settings.multipliers, etag=settings.etag)


def rebilling_message(rebilling: Rebilling) -> pb.Rebilling:
    """What a sub-account brings."""
    revenue, cost, margin = rebilling.revenue, rebilling.cost, rebilling.margin
    return pb.Rebilling(
        settings=rebilling_settings_message(rebilling.settings),
        revenue=money_message(revenue.amount, revenue.currency),
        cost=money_message(cost.amount, cost.currency),
        margin=money_message(margin.amount, margin.currency),
        usage_count=rebilling.usage_count,
        costs_pending=rebilling.pending,
    )


def prepared_message(prepared: PreparedMethod) -> pb.PreparedMethod:
    """A setup intent with its secret, and where to complete it."""
    return pb.PreparedMethod(
        setup_intent=setup_message(PreparedSetup(prepared.intent, prepared.client_secret)),
        stripe_account=prepared.stripe_account,
        customer=prepared.customer,
    )


def read_auto_reload(
    request: pb.UpdateWalletSettingsRequest, violations: list[FieldViolation]
) -> AutoReloadValues | None:
    """When the wallet is to reload itself; None where it never is."""
    violations += given_settings(request)
    if not request.settings.HasField("auto_reload"):
        return None
    auto = request.settings.auto_reload
    return AutoReloadValues(
        auto.threshold, auto.amount, auto.payment_method, auto.most_per_charge, auto.most_per_day
    )


def read_adjustment(request: pb.AdjustWalletRequest) -> Adjustment:
    """Which adjustment is asked for."""
    name = request.WhichOneof("adjustment")
    if name is None:
        return Adjustment(None, 0, "", request.reason)
    amount = getattr(request, name)
    return Adjustment(AdjustmentKind(name), amount.amount, amount.currency, request.reason)


def read_span(
    request: pb.GetRebillingRequest | pb.ExportStatementRequest, violations: list[FieldViolation]
) -> Span:
    """A period."""
    return Span(
        read_instant(request, "start_time", violations),
        read_instant(request, "end_time", violations),
    )


def given_settings(
    request: pb.UpdateWalletSettingsRequest | pb.UpdateRebillingRequest,
) -> Sequence[FieldViolation]:
    """What is wrong where the settings are missing altogether."""
    return [] if request.HasField("settings") else [FieldViolation("settings", "must be given")]
