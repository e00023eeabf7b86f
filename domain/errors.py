"""The closed family of errors that a caller of Billing can meet.

Every error carries a stable `Reason`. The gRPC interface, the webhook and the command line turn the
same error into their own form; nobody else aborts. Messages never hold a secret, a token or
personal data: they name fields, rules and ids.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a call was refused: the same names as `billing.v1.ErrorReason`, without its prefix."""

    INVALID_FIELDS = "INVALID_FIELDS"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    TOKEN_MISSING = "TOKEN_MISSING"
    TOKEN_INVALID = "TOKEN_INVALID"
    SCOPE_MISSING = "SCOPE_MISSING"
    STRIPE_NOT_CONNECTED = "STRIPE_NOT_CONNECTED"
    STRIPE_CONNECTION_REVOKED = "STRIPE_CONNECTION_REVOKED"
    STRIPE_ACCOUNT_TAKEN = "STRIPE_ACCOUNT_TAKEN"
    STRIPE_REFUSED = "STRIPE_REFUSED"
    WRONG_STATE = "WRONG_STATE"
    STRIPE_RATE_LIMITED = "STRIPE_RATE_LIMITED"
    STRIPE_UNAVAILABLE = "STRIPE_UNAVAILABLE"
    STRIPE_NOT_UNDERSTOOD = "STRIPE_NOT_UNDERSTOOD"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    REQUEST_IN_FLIGHT = "REQUEST_IN_FLIGHT"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    CONTACT_LINKED = "CONTACT_LINKED"
    CUSTOMER_LINKED = "CUSTOMER_LINKED"
    NOT_AUTHOR = "NOT_AUTHOR"
    OPERATION_RUNNING = "OPERATION_RUNNING"
    NOT_RECONCILABLE = "NOT_RECONCILABLE"
    PAYOUT_NOT_RECONCILED = "PAYOUT_NOT_RECONCILED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    OVERLOADED = "OVERLOADED"
    CALLER_LIMITED = "CALLER_LIMITED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    PRICE_IMMUTABLE = "PRICE_IMMUTABLE"
    LOOKUP_KEY_TAKEN = "LOOKUP_KEY_TAKEN"
    IMAGE_TYPE = "IMAGE_TYPE"
    IMAGE_TRUNCATED = "IMAGE_TRUNCATED"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    IMAGE_SIZE_MISMATCH = "IMAGE_SIZE_MISMATCH"
    TOO_MANY_IMAGES = "TOO_MANY_IMAGES"
    UPLOAD_NOT_STARTED = "UPLOAD_NOT_STARTED"
    UPLOAD_STALLED = "UPLOAD_STALLED"
    BALANCE_TOO_LOW = "BALANCE_TOO_LOW"
    SELLER_UNAVAILABLE = "SELLER_UNAVAILABLE"
    PRICE_UNAVAILABLE = "PRICE_UNAVAILABLE"
    RATE_UNAVAILABLE = "RATE_UNAVAILABLE"
    NOT_CREDITOR = "NOT_CREDITOR"
    NOT_OWNER = "NOT_OWNER"
    REFUND_TOO_LARGE = "REFUND_TOO_LARGE"
    NO_SUCH_DEBT = "NO_SUCH_DEBT"
    BALANCE_TOO_LARGE = "BALANCE_TOO_LARGE"
    WRONG_CURRENCY = "WRONG_CURRENCY"
    NO_PAYMENT_METHOD = "NO_PAYMENT_METHOD"
    RELOAD_OPEN = "RELOAD_OPEN"
    STATE_UNKNOWN = "STATE_UNKNOWN"
    CODE_REFUSED = "CODE_REFUSED"
    CONNECTION_OUTCOME_UNKNOWN = "CONNECTION_OUTCOME_UNKNOWN"
    MODE_MISMATCH = "MODE_MISMATCH"
    PROCESSES_OPEN = "PROCESSES_OPEN"
    PRICE_CHANGED = "PRICE_CHANGED"
    CHECKOUT_OPEN = "CHECKOUT_OPEN"
    PAYMENT_METHOD_UNUSABLE = "PAYMENT_METHOD_UNUSABLE"
    QUOTE_EXPIRED = "QUOTE_EXPIRED"
    QUOTE_FOREIGN = "QUOTE_FOREIGN"
    QUOTE_ALTERED = "QUOTE_ALTERED"
    QUOTE_USED = "QUOTE_USED"
    QUANTITY_OUT_OF_RANGE = "QUANTITY_OUT_OF_RANGE"
    ITEM_UNKNOWN = "ITEM_UNKNOWN"
    ITEM_INACTIVE = "ITEM_INACTIVE"
    ITEM_NOT_OFFERED = "ITEM_NOT_OFFERED"
    WRONG_CART = "WRONG_CART"
    NOT_SUB_ACCOUNT = "NOT_SUB_ACCOUNT"
    LISTING_NOT_ELIGIBLE = "LISTING_NOT_ELIGIBLE"
    LISTING_EXISTS = "LISTING_EXISTS"
    CURRENCY_NOT_TAKEN = "CURRENCY_NOT_TAKEN"
    AMOUNT_TOO_SMALL = "AMOUNT_TOO_SMALL"
    AMOUNT_TOO_LARGE = "AMOUNT_TOO_LARGE"
    NOT_OPERATOR = "NOT_OPERATOR"
    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a caller's input and the rule that it breaks.

    `field` is the path as the caller wrote it (`customer.email`, `period.end_time`); `rule` a
    sentence that says what is allowed, without repeating the value. `reason` is its own reason,
    where a program should tell it from others.
    """

    field: str
    rule: str
    reason: Reason | None = None


class BillingError(Exception):
    """The root of the family: a stable reason, a message for people, facts for programs."""

    def __init__(
        self, reason: Reason, message: str, *, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})


class InvalidArgument(BillingError):
    """The input itself is wrong, whatever the state of the world. Holds every violation at once."""

    def __init__(
        self, violations: Sequence[FieldViolation], *, reason: Reason = Reason.INVALID_FIELDS
    ) -> None:
        if not violations:
            raise ValueError("InvalidArgument needs at least one violation")
        message = "; ".join(f"{violation.field}: {violation.rule}" for violation in violations)
        super().__init__(reason, message)
        self.violations = tuple(violations)

    def renamed(self, rename: Callable[[str], str]) -> "InvalidArgument":
        """The same refusal with each field called as `rename` says."""
        told = [
            FieldViolation(rename(violation.field), violation.rule, violation.reason)
            for violation in self.violations
        ]
        same = InvalidArgument(told, reason=self.reason)
        same.metadata |= self.metadata
        return same


class NotFound(BillingError):
    """No such object for this caller; another tenant's object is not found either."""

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(
            Reason.NOT_FOUND, f"{resource} not found", metadata={"resource": resource, "id": name}
        )


class AlreadyExists(BillingError):
    """The object to be created is there, or what must be unique is taken."""


class FailedPrecondition(BillingError):
    """The input is right, the state of the world is not; `subject` names what must change first."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        subject: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, metadata=metadata)
        self.subject = subject


class WrongState(FailedPrecondition):
    """The object's state does not allow it. `state` is the one that it is in, in Stripe's word."""

    def __init__(self, resource: str, name: str, state: str) -> None:
        super().__init__(
            Reason.WRONG_STATE,
            f"the {resource} is {state}, which does not allow this",
            subject=resource,
            metadata={"resource": resource, "id": name, "state": state},
        )
        self.state = state


class NotYet(FailedPrecondition):
    """What is missing comes by itself. `retry_after_seconds` says when to look again."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        subject: str,
        retry_after_seconds: int,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, subject=subject, metadata=metadata)
        self.retry_after_seconds = retry_after_seconds


class NotUnderstood(FailedPrecondition):
    """Stripe shows something that we cannot read. Waiting does not mend it; a later release may.

    `why` names the field and its rule, never its value. `name` is empty where it is a whole list.
    """

    def __init__(self, resource: str, name: str, why: str) -> None:
        super().__init__(
            Reason.STRIPE_NOT_UNDERSTOOD,
            f"Stripe's {resource} is not understood: {why}",
            subject=resource,
            metadata={"resource": resource, "id": name},
        )
        self.why = why


class PermissionDenied(BillingError):
    """The caller is known and may not do this."""


class Unauthenticated(BillingError):
    """The caller is not known: no token, or one that does not verify."""


class Conflict(BillingError):
    """Somebody else is at it: an equal request in flight, or a newer version of the object."""


class RateLimited(BillingError):
    """Too much at once. `retry_after_seconds` says when another try has a chance."""

    def __init__(self, reason: Reason, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(reason, message)
        self.retry_after_seconds = retry_after_seconds


class PaymentDeclined(BillingError):
    """A bank or Stripe refused the payment. `decline_code` is Stripe's.

    `payment` is the id of the payment intent that was declined, where Stripe names it; callers are
    not told it.
    """

    def __init__(self, message: str, *, decline_code: str, payment: str = "") -> None:
        super().__init__(Reason.PAYMENT_DECLINED, message, metadata={"decline_code": decline_code})
        self.decline_code = decline_code
        self.payment = payment


class OutcomeUnknown(BillingError):
    """A mutation was sent and its answer is not known. It is settled later, never forgotten.

    Repeating the call with the same `request_id` gives its outcome.
    """

    def __init__(self, request_id: str) -> None:
        super().__init__(
            Reason.OUTCOME_UNKNOWN,
            "the outcome is not known yet; repeat the call with the same request_id to learn it",
            metadata={"request_id": request_id},
        )


class OutcomeLost(OutcomeUnknown):
    """What was sent works only once, and its answer was lost: nobody will learn what came of it."""

    def __init__(self) -> None:
        super().__init__("")
        self.message = "the answer was lost and cannot be asked for again; begin anew"
        self.metadata = {}


class Unavailable(BillingError):
    """Something that Billing needs does not answer; nothing was done; try again later."""


class ShuttingDown(Unavailable):
    """This process is stopping and nothing was done: another one answers, or the next one."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.SHUTTING_DOWN, message)
        self.retry_after_seconds = 1


class UnknownMethod(BillingError):
    """There is no such method: not in the contract, or not in this release of it."""

    def __init__(self) -> None:
        super().__init__(Reason.UNKNOWN_METHOD, "this server has no such method")


def words_of(error: Exception) -> str:
    """What may be told of an error: its own words, or its kind where they might quote a value."""
    return str(error) if isinstance(error, BillingError | ValueError) else type(error).__name__
