"""The wallet (OneBalance): prepaid credit of an account, an append-only ledger."""
