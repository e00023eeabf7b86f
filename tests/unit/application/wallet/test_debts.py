"""Which wallets in debt stand against ending a connection."""

from application.wallet.debts import WalletDebts
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.wallets import Wallet
from tests.support.fakes.journal import JournalInMemory
from tests.support.fakes.stores import NOON, FakeAccounts
from tests.support.rooms.ledger import grant, overdraft, usage

ACCOUNTS = FakeAccounts(
    Account("acme", "Acme", "usd"),
    Account("globex", "Globex", "usd"),
    *(Account(f"lily-{n:03}", "Lily", "usd", "acme") for n in range(150)),
    Account("omar", "Omar", "usd", "globex"),
)
LINK = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.OAUTH, NOON)


async def test_those_of_the_account_and_of_its_sub_accounts_are_told() -> None:
    journal = JournalInMemory()
    in_debt = [
        Wallet("acme", None, "usd"), Wallet("lily-003", "acme", "usd"),
        Wallet("lily-140", "acme", "usd"), Wallet("omar", "globex", "usd"),
    ]  # fmt: skip
    for wallet in in_debt:
        await journal.append(wallet, [overdraft("o", 500), usage("u", 120)])
    await journal.append(Wallet("lily-001", "acme", "usd"), [grant("g", 5), usage("u", 5)])
    debts = WalletDebts(ACCOUNTS, Wallets(ACCOUNTS, "usd"), journal)
    found = await debts.needing(LINK, limit=10)
    assert [item.words for item in found] == [
        "wallet in debt acme (-120 usd)",
        "wallet in debt lily-003@acme (-120 usd)",
        "wallet in debt lily-140@acme (-120 usd)",
    ]
    assert await debts.needing(LINK, limit=2) == found[:2]


async def test_without_a_base_currency_there_are_no_wallets() -> None:
    debts = WalletDebts(ACCOUNTS, Wallets(ACCOUNTS, ""), JournalInMemory())
    assert await debts.needing(LINK, limit=10) == []
