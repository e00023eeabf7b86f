"""Stripe, behind the ports of `application/ports/stripe.py`: the only code that knows its wire."""
