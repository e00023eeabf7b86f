"""Tables of wallets, entries and proofs."""

from collections.abc import Iterable
from decimal import Decimal

from billing_client.v1 import money_pb2
from billing_client.v1 import wallet_service_pb2 as pb
from rich.table import Table
from rich.text import Text

from application.wallet.proof import Proof
from domain.money import exponent
from interfaces.cli.output import facts_table, table_of
from interfaces.cli.times import shown


def money(amount: money_pb2.Money) -> str:
    """An amount in major units, such as `-1.05 USD`."""
    return major(amount.amount, amount.currency)


def major(amount: int, currency: str) -> str:
    """An amount of minor units in major ones, such as `-1.05 USD`."""
    places = exponent(currency)
    return f"{Decimal(amount).scaleb(-places):,.{places}f} {currency.upper()}"


def wallet_table(wallet: pb.AccountWallet) -> Table:
    """A wallet as it stands."""
    auto = wallet.settings.auto_reload
    reloads = f"below {auto.threshold:,}, by {auto.amount:,}" if auto.amount else "never"
    return facts_table(
        [
            ("account", wallet.account),
            ("creditor", wallet.creditor or "the platform"),
            ("available", money(wallet.available)),
            ("held", money(wallet.held)),
            ("overdraft", money(wallet.overdraft)),
            ("entries", f"{wallet.sequence:,}"),
            ("digest", wallet.digest),
            ("reloads itself", f"{reloads}{f' ({auto.off_because})' if auto.off_because else ''}"),
            ("Stripe account", wallet.stripe_account),
            ("customer", wallet.customer),
        ]
    )


def entries_table(entries: Iterable[pb.WalletEntry]) -> Table:
    """Entries, a row each."""
    table = table_of(
        "sequence", "time", "kind", "what for", ids=("sequence", "time"),
        numbers=("amount", "available"),
    )  # fmt: skip
    for entry in entries:
        table.add_row(
            str(entry.sequence),
            shown(entry.create_time),
            Text(entry.kind),
            Text(" ".join(filter(None, (entry.service, entry.description)))),
            money(entry.amount),
            money(entry.available_after),
        )
    return table


def reload_table(reload: pb.Reload) -> Table:
    """A reload as it stands."""
    rate = f" at {reload.rate}" if reload.rate else ""
    declined = " ".join(filter(None, (reload.decline_code, reload.advice)))
    return facts_table(
        [
            ("reload", reload.id),
            ("state", _state(reload)),
            ("paid", money(reload.amount)),
            ("credit", f"{money(reload.credit)}{rate}"),
            ("gone", money(reload.gone)),
            ("withheld", money(reload.withheld)),
            ("declined", declined),
            ("asked for by", "the wallet itself" if reload.automatic else "the owner"),
            ("Stripe account", reload.stripe_account),
            ("customer", reload.customer),
            ("payment method", reload.payment_method),
            ("payment intent", reload.payment_intent),
            ("began", shown(reload.create_time)),
            ("last change", shown(reload.update_time)),
        ]
    )


def reloads_table(reloads: Iterable[pb.Reload]) -> Table:
    """Reloads, a row each."""
    table = table_of(
        "reload", "time", "state", ids=("reload", "time"), numbers=("paid", "credit", "lost"),
    )  # fmt: skip
    for reload in reloads:
        lost = reload.gone.amount + reload.withheld.amount
        table.add_row(
            Text(reload.id),
            shown(reload.create_time),
            Text(_state(reload)),
            money(reload.amount),
            money(reload.credit),
            major(lost, reload.amount.currency),
        )
    return table


def _state(reload: pb.Reload) -> str:
    name = pb.ReloadState.Name(reload.state).removeprefix("RELOAD_STATE_")
    return name.lower().replace("_", " ")


def proofs_table(proofs: Iterable[Proof], currency: str) -> Table:
    """Proofs, a row each, and what does not hold."""
    table = table_of(
        "wallet", "digest of the last entry", "what does not hold", ids=("wallet",),
        numbers=("entries", "available", "held"),
    )  # fmt: skip
    for proof in proofs:
        told = "\n".join(f"{one.sequence}: {one.rule}" for one in proof.differences)
        more = proof.count - len(proof.differences)
        table.add_row(
            Text(proof.wallet),
            proof.digest,
            Text(f"{told}\nand {more} more" if more else told or "-"),
            f"{proof.entries:,}",
            major(proof.available, currency),
            major(proof.held, currency),
        )
    return table
