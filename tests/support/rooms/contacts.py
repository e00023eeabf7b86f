"""Contact sync and "link all", put together for tests."""

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.connections.ports import ConnectionRepository
from application.contacts.link_all import LinkAll
from application.contacts.matching import ContactMatching
from application.contacts.ports import ContactDirectory
from application.contacts.sync import ContactSyncing
from application.mirror.ports import Mirror
from domain.connections import Mode
from infrastructure.phones import NumberingPlans


def matching(contacts: ContactDirectory, mirror: Mirror, clock: Clock) -> ContactMatching:
    """Matching by the world's numbering plans."""
    return ContactMatching(contacts, mirror, NumberingPlans(), clock)


def syncing(contacts: ContactDirectory, mirror: Mirror, clock: Clock) -> ContactSyncing:
    """Contact sync as the service has it."""
    return ContactSyncing(contacts, mirror, matching(contacts, mirror, clock))


def link_all(
    contacts: ContactDirectory, mirror: Mirror, connections: ConnectionRepository,
    checkpoints: Checkpoints, clock: Clock,
) -> LinkAll:  # fmt: skip
    """ "Link all" as the service has it."""
    return LinkAll(
        contacts, mirror, syncing(contacts, mirror, clock), matching(contacts, mirror, clock),
        connections, checkpoints, clock, Mode.TEST,
    )  # fmt: skip
