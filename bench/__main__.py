"""Every figure of bench/README.md, one after the other: `python -m bench`."""

import subprocess
import sys

BENCHES = (
    ("bench.webhooks",),
    ("bench.projection", "--store", "sqlite"),
    ("bench.projection", "--store", "mongo"),
    ("bench.projection", "--store", "sqlite", "--mixed"),
    ("bench.shuffled", "--store", "sqlite"),
    ("bench.shuffled", "--store", "mongo"),
    ("bench.backfill", "--store", "sqlite"),
    ("bench.backfill", "--store", "mongo"),
    ("bench.get_customer",),
    ("bench.callers",),
    ("bench.debit_usage",),
    ("bench.preview_checkout",),
    ("bench.execute_checkout",),
    ("bench.open_checkouts",),
    ("bench.analytics",),
    ("bench.money",),
    ("bench.facts", "--store", "sqlite"),
    ("bench.facts", "--store", "mongo"),
    ("bench.search", "--store", "sqlite"),
    ("bench.search", "--store", "mongo"),
    ("bench.catalogue", "--store", "sqlite"),
    ("bench.catalogue", "--store", "mongo"),
    ("bench.payouts", "--store", "sqlite"),
    ("bench.payouts", "--store", "mongo"),
    ("bench.ledger", "--store", "sqlite"),
    ("bench.ledger", "--store", "mongo"),
    ("bench.start",),
    ("bench.footprint",),
)

if __name__ == "__main__":
    for module, *arguments in BENCHES:
        subprocess.run([sys.executable, "-m", module, *arguments], check=True)
