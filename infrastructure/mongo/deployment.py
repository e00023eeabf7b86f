"""The deployment port: one document."""

from typing import Final

from domain.connections import Mode
from infrastructure.mongo.core.collection import Collection, Document
from infrastructure.mongo.core.database import Database

DEPLOYMENT: Final = "billing.deployment"

_ID: Final = "deployment"
_CHECKS_ID: Final = "checks"
"""A document of its own: what is asked each second does not touch the stamp."""


class MongoDeployment:
    """Deployment on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stamp(self, mode: Mode) -> Mode:
        # One atomic upsert: of two processes that start at once, one finds the other's stamp.
        stamped = await self._set({"mode": {"$ifNull": ["$mode", mode.value]}})
        return Mode(stamped["mode"])

    async def platform_account(self) -> str | None:
        found = await self._deployment.find_one({"_id": _ID})
        account: str | None = (found or {}).get("platform_account")
        return account

    async def keep_platform_account(self, stripe_account: str) -> None:
        await self._set({"platform_account": {"$literal": stripe_account}})

    async def check(self) -> None:
        await self._deployment.upsert({"_id": _CHECKS_ID}, {"$inc": {"checks": 1}})
        await self._deployment.find_one({"_id": _CHECKS_ID})

    async def _set(self, values: Document) -> Document:
        return await self._deployment.upsert({"_id": _ID}, [{"$set": values}])

    @property
    def _deployment(self) -> Collection:
        return self._database.collection(DEPLOYMENT)
