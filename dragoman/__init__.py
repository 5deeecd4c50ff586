"""dragoman: a real-time spoken agent and interpreter.

The folders at the top of the repository are this package's sub-packages (the links beside this file):
``dragoman.audio``, ``dragoman.asr``, ``dragoman.agent`` and so on.
"""

__version__ = "0.1.0"
