"""Clients that pivotd's authors did not write: stock oslo.messaging, and messages made by hand over py-amqp."""

from .caller import Caller
from .notifications import Notifications
from .raw import Raw
from .resending import Call, ResendingRpc, chosen_ids
from .rpc import Later, Rpc

__all__ = ["Call", "Caller", "Later", "Notifications", "Raw", "ResendingRpc", "Rpc", "chosen_ids"]
