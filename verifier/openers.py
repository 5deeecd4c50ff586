"""Openers: words with which the reply to almost anything may begin."""

from __future__ import annotations

import re
from typing import Final

_PLAIN: Final = frozenset(
    """
    a an the this that these those it its it's that's there there's here here's i i'm i've i'd i'll me my myself you
    you're you've you'd you'll your yours he she they they're we we're we've we'll us our he's she's one ones what
    what's who how how's when where why which who's and or but so if because as than then though although while about
    of to for from in on at by with without into over up down out off after before again around through between during
    am is are was were be been being do does did done doing have has had having can could will would shall should may
    might must can't couldn't won't wouldn't don't doesn't didn't isn't aren't wasn't weren't haven't hasn't not no
    never always often sometimes ever just only also too very really quite pretty so such much many more most some any
    all both each every other another same even still yet already now today soon later ago back away maybe perhaps
    probably actually basically honestly exactly totally absolutely certainly definitely surely indeed truly especially
    yes yeah yep yup nope sure okay ok alright right well oh ah aha wow hey hi hello hmm um uh thanks thank welcome
    please sorry course great good nice wonderful amazing awesome fantastic excellent exciting interesting lovely fun
    cool fine perfect bad sad tough hard easy glad happy excited curious important common possible normal able ready
    hear heard know knew think thought see saw seen look looks looking understand sound sounds seem seems feel feels
    like love mean means guess believe hope wonder want need help assist let let's lets tell say said saying talk ask
    asking try trying make makes made take takes get gets got getting give go goes going come comes keep thing things
    something anything everything nothing someone anyone everyone way ways lot lots bit little kind sort type question
    idea point time day place people person part example fact case reason information best better first new
    """.split()
)


def tells_nothing(text: str) -> bool:
    """Whether a beginning of a reply has none but such words."""
    words = re.findall(r"[a-z]+(?:'[a-z]+)?|\d+", text.lower().replace("’", "'"))
    return all(word in _PLAIN for word in words)
