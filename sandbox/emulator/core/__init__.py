"""What every noun of the emulator shares; it knows no noun by name but accounts and events.

A request runs through these files in order: `app` (pipeline), `routing`, `accounts` (keys and
scopes), `rates`, `faults`, `forms`, `idempotency`, `params`, an action of a noun (`nouns`, `verbs`,
`listing`, `search`, `call`), `expansion`. Changes go to `store`, `events` and `delivery`; what
falls due later to `schedule`, which a moved `clock` runs; `grants` and `ids` serve all.
"""
