"""Registered callers for tests: their file, their keys, and tokens of all kinds of making."""

import json
import secrets
import time
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

SHOP_SECRET: Final = "s" * 40 + "hop"
OPS_SECRET: Final = "o" * 40 + "ps"
RETIRED_SECRET: Final = "r" * 40 + "etired"
CUT_SECRET: Final = "c" * 40 + "ut"
ED: Final = ed25519.Ed25519PrivateKey.generate()
EC: Final = ec.generate_private_key(ec.SECP256R1())

JWKS: Final = {
    "keys": [
        {**OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True), "kid": "ed", "alg": "EdDSA"},
        {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "kid": "ec", "alg": "ES256"},
    ]
}

_SIGNING: Final = jwt.PyJWS()
"""Signs whatever is asked for: `jwt.encode` looks at the claims."""

DOCUMENT: Final = f"""\
[[callers]]
name = "shop"
issuer = "https://shop.internal"
scopes = "all"
accounts = "all"

[[callers.keys]]
kid = "2026a"
secret = "{SHOP_SECRET}"

[[callers]]
name = "ops"
issuer = "https://ops.internal"
scopes = "all"
accounts = "none"
operator = true

[[callers.keys]]
kid = "o1"
secret = "{OPS_SECRET}"

[[callers]]
name = "ledger"
issuer = "https://ledger.internal"
scopes = ["customers.read", "invoices.read"]
accounts = ["acme"]
longest_minutes = 10
jwks_file = "ledger.jwks.json"
"""


def write_callers(folder: Path, document: str = DOCUMENT) -> Path:
    """The file, with its key set beside it."""
    (folder / "ledger.jwks.json").write_text(json.dumps(JWKS))
    path = folder / "callers.toml"
    path.write_text(document)
    return path


def write_strong_callers(folder: Path) -> Path:
    """The same with secrets that live mode takes."""
    document = DOCUMENT
    for weak in (SHOP_SECRET, OPS_SECRET):
        document = document.replace(weak, secrets.token_urlsafe(32))
    return write_callers(folder, document)


def signed(
    key: Any = SHOP_SECRET,
    algorithm: str = "HS256",
    *,
    kid: str | None = "2026a",
    headers: dict[str, Any] | None = None,
    now: float | None = None,
    **claims: Any,
) -> str:
    """A token of one's own making, the shop's unless told otherwise; a claim of None is left out.

    `now` is in seconds since 1970.
    """
    issued = int(time.time() if now is None else now)
    every = {
        "iss": "https://shop.internal", "sub": "cart", "aud": "billing", "account": "acme",
        "scope": "customers.read", "iat": issued, "exp": issued + 600, **claims,
    }  # fmt: skip
    present = {name: value for name, value in every.items() if value is not None}
    named = {} if kid is None else {"kid": kid}
    content = json.dumps(present).encode()
    return _SIGNING.encode(content, key, algorithm, headers={**named, **(headers or {})})
