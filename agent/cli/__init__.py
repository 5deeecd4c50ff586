"""The ``dragoman`` command: one module per sub-command, each with a ``register(app)``."""
