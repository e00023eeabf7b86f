"""An emulator of Stripe: its wire format over HTTP, stateful, in memory, for tests and the demo.

`python -m sandbox.emulator --port 0` runs it; `server.serve` is what that calls. A noun is one
file beside this one; `core` is what they share; `control` is the client of what Stripe does not
have: a clock to move, faults to order, deliveries to hold back.
"""
