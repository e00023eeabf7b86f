"""Stripe, behind the ports of the rooms: the only code that knows its wire."""
