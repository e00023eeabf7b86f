"""SubscriptionService."""

from billing_client.v1 import subscription_service_pb2 as pb
from billing_client.v1 import subscription_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.subscriptions.use_cases import Subscriptions
from domain.errors import FieldViolation
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.subscriptions import mapping


class SubscriptionServicer(pb_grpc.SubscriptionServiceServicer):
    """Subscriptions of an account's Stripe connection."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    @override
    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, context: Context
    ) -> pb.ListSubscriptionsResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_list(request, violations)
        page = await self._subscriptions.list(current_caller(), query, violations)
        return mapping.page_message(page)

    @override
    async def GetSubscription(
        self, request: pb.GetSubscriptionRequest, context: Context
    ) -> pb.Subscription:
        subscription = await self._subscriptions.get(current_caller(), request.id)
        return mapping.subscription_message(subscription)

    @override
    async def CreateSubscription(
        self, request: pb.CreateSubscriptionRequest, context: Context
    ) -> pb.Subscription:
        violations: list[FieldViolation] = []
        wanted = mapping.read_create(request, violations)
        subscription = await self._subscriptions.create(
            current_caller(), request.request_id, wanted, violations
        )
        return mapping.subscription_message(subscription)

    @override
    async def UpdateSubscription(
        self, request: pb.UpdateSubscriptionRequest, context: Context
    ) -> pb.Subscription:
        violations: list[FieldViolation] = []
        command = mapping.read_update(request, violations)
        subscription = await self._subscriptions.update(
            current_caller(), request.request_id, command, violations
        )
        return mapping.subscription_message(subscription)

    @override
    async def CancelSubscription(
        self, request: pb.CancelSubscriptionRequest, context: Context
    ) -> pb.Subscription:
        subscription = await self._subscriptions.cancel(
            current_caller(), request.request_id, mapping.read_cancel(request)
        )
        return mapping.subscription_message(subscription)

    @override
    async def ResumeSubscription(
        self, request: pb.ResumeSubscriptionRequest, context: Context
    ) -> pb.Subscription:
        subscription = await self._subscriptions.resume(
            current_caller(), request.request_id, request.id
        )
        return mapping.subscription_message(subscription)

    @override
    async def PauseCollection(
        self, request: pb.PauseCollectionRequest, context: Context
    ) -> pb.Subscription:
        violations: list[FieldViolation] = []
        pause = mapping.read_pause(request, violations)
        subscription = await self._subscriptions.pause_collection(
            current_caller(), request.request_id, pause, violations
        )
        return mapping.subscription_message(subscription)

    @override
    async def ResumeCollection(
        self, request: pb.ResumeCollectionRequest, context: Context
    ) -> pb.Subscription:
        subscription = await self._subscriptions.resume_collection(
            current_caller(), request.request_id, request.id
        )
        return mapping.subscription_message(subscription)
