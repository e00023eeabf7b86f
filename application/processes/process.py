"""How a capability has something done that outlives its call: it registers a process class."""

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NoReturn, Protocol, TypeVar

from application.mirror.ports import Noun
from application.mutations.steps import Steps
from application.processes.ports import ProcessRecord
from domain.errors import BillingError
from domain.mirror import MirroredObject

F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)
D = TypeVar("D")
T = TypeVar("T", bound=MirroredObject)


class Waits(Exception):
    """Raised by a stage that can go on only once somebody else has done something."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class Stuck(Exception):
    """Raised by a stage where only people can tell how to go on."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Run(Protocol[F_co, D]):
    """What a stage has in hand while its process is carried on, under the process's lease.

    A run may end anywhere and the stage be begun anew: what it changes, it changes by `steps`.
    Raises Conflict (REQUEST_IN_FLIGHT) where the lease was lost, and Unavailable.
    """

    data: D
    """What the process has learnt. What is assigned is stored with the next write, before any
    further step is made."""

    @property
    def id(self) -> str:
        """The process's id."""
        ...

    @property
    def record(self) -> ProcessRecord:
        """The process as it was when this run began."""
        ...

    @property
    def frozen(self) -> F_co:
        """What was fixed before anything was done."""
        ...

    @property
    def steps(self) -> Steps:
        """Its changes, by name: each made once."""
        ...

    @property
    def failure(self) -> BillingError | None:
        """The refusal that turned it back, or is to."""
        ...

    def now(self) -> dt.datetime:
        """The time by our clock."""
        ...

    async def watch(self, stripe_account: str, *object_ids: str) -> None:
        """Be woken by events of objects: durable on return.

        Raises AlreadyExists where another process watches one.
        """
        ...

    async def read(self, noun: Noun[T], object_id: str, stripe_account: str = "") -> T:
        """How an object stands at Stripe. It is watched first, so no change after it is missed.

        The id is one that a create of this process returned, never one that an event told.
        """
        ...

    def enter(self, state: str) -> None:
        """Be in a state, in words for people; stored with the next write."""
        ...

    def wait(self, state: str, *, until: dt.datetime | None = None) -> NoReturn:
        """Be in a state until somebody else has done something: a customer, a bank, Stripe.

        The stage is begun anew by the next event of a watched object, after 10 s, doubling to 6 h,
        and at `until`.
        """
        ...

    def ask_people(self, why: str) -> NoReturn:
        """Need attention at once, for a reason that no other try would mend.

        `why` is a short code, kept for good. An operator resumes or closes the process.
        """
        ...

    def resume(self, why: str) -> None:
        """Have it tried again, where it needs attention: the order of an operator."""
        ...

    def close(self, state: str, why: str) -> None:
        """End it where it stands: its matter was settled by other means. The order of an operator.

        It still follows what is done to its objects.
        """
        ...

    async def save(self) -> None:
        """Have durable what has changed in memory, for what is done next without a step.

        That must be idempotent by a key of its own, which `data` names.
        """
        ...

    def look_at(self, at: dt.datetime) -> None:
        """Be looked at then, whatever happens."""
        ...

    def turn_back(self, why: BillingError) -> None:
        """Take back what was done, as soon as no outcome is unknown and if the pivot is not begun.

        Where the pivot is in hand its `do` finds `failure` set, and decides by what Stripe says: it
        refuses, and so turns back, or it is done, and then there is nothing to take back.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stage(Generic[F, D]):
    """One of the things that a process does, and how that is taken back.

    - `name`: for people, unique in its process. `state`: how the process stands once the stage
      before is done.
    - `do` returns once it is done, and `Run.wait`s where it cannot go on. A definite refusal (see
      `is_definite`) turns the process back; whatever else it raises has it tried again.
    - `undo` takes back what `do` did, may have done, or has not even begun: it looks at its steps.
      What it raises has it tried again, also a refusal. None: there is nothing to take back.
    - `pivot`: once it is done nothing is taken back; what follows is only repeated. Its own refusal
      still turns back.
    """

    name: str
    state: str
    do: Callable[[Run[F, D]], Awaitable[None]]
    undo: Callable[[Run[F, D]], Awaitable[None]] | None = None
    pivot: bool = False


class Process(ABC, Generic[F, D]):
    """A kind of process: its stages, and what becomes of it beyond them.

    `frozen` is fixed when it is begun and never changes, `data` begins with its type's defaults.
    Both are kept as JSON, for good, so they bear no secrets.
    """

    kind: ClassVar[str]
    compensating: ClassVar[str] = "compensating"
    completed: ClassVar[str] = "completed"
    taken_back: ClassVar[str] = "canceled"

    frozen: type[F]
    data: type[D]

    @property
    @abstractmethod
    def stages(self) -> Sequence[Stage[F, D]]:
        """What it does, in this order. A later release may only append to them."""

    def ended(self, failure: BillingError) -> str:  # noqa: ARG002 - for those who tell apart
        """The state in which it rests once all is taken back because of a refusal."""
        return self.taken_back

    async def tend(self, run: Run[F, D]) -> None:
        """Follow what was done to its objects since it rests, as refunds; called by each wake.

        It may `wait`, `look_at` a later time and `enter` states; what it raises has it tried again.
        """

    async def attention(self, run: Run[F, D]) -> None:
        """Tell people that it needs attention, say by a job; called before that is stored.

        It may come again, so by a key of its own. What it raises has the last try tried again.
        """


AnyProcess = Process[Any, Any]
