"""Meters (API reference, "Billing Meters"): what a metered price counts. No usage is reported."""

from typing import Final

from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import Hash, OneOf, Text
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import act, given, listed, retrieve, update

_CREATE: Final = {
    "customer_mapping": Hash(
        fields={
            "event_payload_key": Text(required=True, most=100),
            "type": OneOf(values=("by_id",), required=True),
        }
    ),
    "default_aggregation": Hash(
        required=True,
        fields={"formula": OneOf(values=("count", "last", "sum"), required=True)},
    ),
    "display_name": Text(required=True, most=250),
    "event_name": Text(required=True, most=100),
    "event_time_window": OneOf(values=("day", "hour")),
    "value_settings": Hash(fields={"event_payload_key": Text(required=True, most=100)}),
}


def _create(call: Call) -> JsonObject:
    """From memory: two active meters cannot count the same events."""
    name = call.params["event_name"]
    if any(meter["event_name"] == name and _active(meter) for meter in call.shelf(NOUN)):
        raise invalid(f"An active meter with the event name {name} exists.", "event_name")
    meter = call.add(NOUN, {**given(call), "updated": call.now})
    call.emit("billing.meter.created", meter)
    return meter


def _active(meter: JsonObject) -> bool:
    return bool(meter["status"] == "active")


def _deactivate(call: Call) -> JsonObject:
    meter = call.target()
    if not _active(meter):
        raise invalid("The meter is not active.")
    patch: JsonObject = {"status": "inactive", "status_transitions": {"deactivated_at": call.now}}
    return call.change(meter, {**patch, "updated": call.now}, "billing.meter.deactivated")


def _reactivate(call: Call) -> JsonObject:
    meter = call.target()
    if _active(meter):
        raise invalid("The meter is active.")
    patch: JsonObject = {"status": "active", "status_transitions": {"deactivated_at": None}}
    return call.change(meter, {**patch, "updated": call.now}, "billing.meter.reactivated")


def _renamed(call: Call) -> JsonObject:
    return {**call.params, "updated": call.now}


NOUN: Final = Noun(
    object="billing.meter",
    title="meter",
    collection="billing/meters",
    prefix="mtr",
    fields={
        "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        "default_aggregation": {"formula": "sum"},
        "display_name": "",
        "event_name": "",
        "event_time_window": None,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": 0,
        "value_settings": {"event_payload_key": "value"},
    },
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        update({"display_name": Text(most=250)}, _renamed),
        listed({"status": Filter(OneOf(values=("active", "inactive")))}, created=False),
        act("deactivate", {}, _deactivate),
        act("reactivate", {}, _reactivate),
    ),
)
