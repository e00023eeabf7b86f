"""What the events of customers' discounts tell."""

from typing_extensions import override

from application.events.inbox import ReceivedEvent
from application.facts.ports import DiscountReader
from domain.coupons import Discount
from infrastructure.stripe.coupons import DISCOUNT, discount_of


class StripeDiscountReader(DiscountReader):
    """Reads the discount that an event bears; its coupon by its id alone."""

    @override
    def discount(self, event: ReceivedEvent) -> Discount | None:
        return discount_of(event.payload) if event.object_type == DISCOUNT else None
