"""Messages of the contract to the use cases' terms, and back.

What a message says wrong in a way that no command can express is added to `violations`, which the
use case refuses together with its own.
"""
