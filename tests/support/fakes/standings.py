"""How far an account is known, as a test says."""

from typing_extensions import override

from application.analytics.trust import Standing, Standings, TrustAnswers


class FakeStandings(Standings):
    """The same standing for every account, until a test sets another."""

    def __init__(self, standing: Standing | None = None) -> None:
        self.standing = standing or Standing()

    @override
    async def of(self, stripe_account: str) -> Standing:
        return self.standing


def some_trust(standing: Standing | None = None) -> TrustAnswers:
    """What tells of a standing in replies."""
    return TrustAnswers(FakeStandings(standing))
