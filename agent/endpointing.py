"""How complete do the words sound? The embedded turn detector: it reads, it doesn't listen.

Recognizers of Whisper's kind write punctuation, and people who search for words say so ("um"). Both tell more about
whether a pause is the end of a turn than its length does.
"""

from __future__ import annotations

import re
from typing import Final

_FILLERS: Final = frozenset(
    "um uh uhm er erm hmm hm mm like well so and but or because if that the a an to of in on at for with my your "
    "i'm it's is are was were we're they're you're "
    "e mas ou porque se que o os as um uma de do da em no na para pra com meu minha seu sua é então tipo "
    "y pero o porque si que el la los las un una de del en para con mi su es entonces "
    "et mais ou parce si que le les un une des du dans pour avec mon ma est alors euh "
    "und aber oder weil wenn dass der die das ein eine von im für mit mein ist also äh ähm".split()
)
"""Words that hardly ever end what someone wants to say."""


_SENTENCE: Final = 4
"""Words from which a text without any mark may well be a whole sentence."""


class TextTurnDetector:
    """Reads the end of a transcript. No state: one object serves every session."""

    def complete(self, text: str) -> float:
        """Probability-like score in [0, 1] that nothing more will come."""
        stripped = text.rstrip().rstrip("\"'”’)")
        if not stripped:
            return 0.0
        words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", stripped.lower())
        last = words[-1].replace("’", "'") if words else ""
        if stripped.endswith(("...", "…", "-", "—")):
            return 0.0
        if last in _FILLERS and not stripped.endswith("?"):
            return 0.1
        if stripped.endswith(("?", "!")):
            return 1.0
        if stripped.endswith("."):
            return 0.9
        if stripped.endswith((",", ":", ";")):
            return 0.15
        # Small recognizers leave out all punctuation of a sentence now and then: that says little.
        return 0.4 if len(words) < _SENTENCE else 0.6
