"""Training of small translators: data, networks, training. Needs the ``train`` extra."""
