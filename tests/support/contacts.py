"""Contact sync and linking, put together for tests."""

from application.contact_linking import ContactLinking
from application.contact_matching import ContactMatching
from application.contact_sync import ContactSyncing
from application.ports.checkpoints import Checkpoints
from application.ports.clock import Clock
from application.ports.connections import ConnectionRepository
from application.ports.contacts import ContactDirectory
from application.ports.mirror import Mirror
from domain.connections import Mode
from infrastructure.phones import NumberingPlans


def matching(contacts: ContactDirectory, mirror: Mirror, clock: Clock) -> ContactMatching:
    """Matching by the world's numbering plans."""
    return ContactMatching(contacts, mirror, NumberingPlans(), clock)


def syncing(contacts: ContactDirectory, mirror: Mirror, clock: Clock) -> ContactSyncing:
    """Contact sync as the service has it."""
    return ContactSyncing(contacts, mirror, matching(contacts, mirror, clock))


def linking(
    contacts: ContactDirectory, mirror: Mirror, connections: ConnectionRepository,
    checkpoints: Checkpoints, clock: Clock,
) -> ContactLinking:  # fmt: skip
    """ "Link all" as the service has it."""
    return ContactLinking(
        contacts, mirror, syncing(contacts, mirror, clock), matching(contacts, mirror, clock),
        connections, checkpoints, clock, Mode.TEST,
    )  # fmt: skip
