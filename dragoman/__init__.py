"""dragoman: a real-time spoken agent and interpreter.

The folders at the top of the repository are this package's sub-packages (the links beside this file):
``dragoman.audio``, ``dragoman.asr``, ``dragoman.agent`` and so on.
"""

import os

# Before numpy is loaded: its matrices are small here, and a second thread for them would spin through a time slice
# whenever a language model has the other core. The models' own engines have threads of their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
