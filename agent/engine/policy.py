"""The numbers of turn-taking, in one place. Durations are milliseconds; the engine counts in samples."""

from __future__ import annotations

from dataclasses import dataclass

from dragoman.audio.types import INPUT_RATE


def samples(milliseconds: float) -> int:
    """Milliseconds as samples of the input clock."""
    return round(milliseconds * INPUT_RATE / 1000)


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient and how polite the agent is."""

    silence_ms: int | None = None
    """A fixed silence that ends a turn; None: adapt it to how complete the words sound."""
    shortest_ms: int = 480
    """Silence after words that sound complete."""
    longest_ms: int = 1500
    """Silence after words that sound as if more will come."""
    leisure: float = 1.0
    """Times as long as usual a silence must be that ends a turn; above 1, a silence must also follow the end that a
    model of turn-taking hears.
    """
    hold_ms: int = 96
    """A voice over the reply that lasts so long stops the playing, at first tentatively."""
    hinted_hold_ms: int = 900
    """The same when it sounds like a backchannel."""
    confirm_ms: int = 900
    """A voice over the reply that lasts so long is an interruption, whatever it says."""
    forget_ms: int = 1500
    """With no words for so long after the voice over the reply ended, the reply goes on."""
    rewind_s: float = 0.6
    """A resumed reply begins with the word that was cut, if that began at most so long before."""
    modelled: bool = False
    """A model of turn-taking hears the audio (``TurnOver``, ``Interrupted``): silence and loudness decide only where it
    says nothing for long."""
    unheard_ms: int = 1500
    """Silence beyond the usual after which a turn is over though the model doesn't say so: where it sounds complete, as
    long as people pause (two seconds in all)."""
    modelled_hold_ms: int = 640
    """A voice over the reply that lasts so long stops the playing at first, though the model doesn't say so."""
    soon_ms: int = 640
    """So long an end that the model heard coming is expected."""
    reconsider_ms: int = 600
    """Other words of a second pass that come so late after the first one's don't begin the reply anew: by then the
    language model has read the turn and writes. They go into the history."""
    trust: float = 0.5
    """The first words of the fast path are said from this trust on."""
    respond: bool = True
    """Whether the end of a turn asks for a reply."""
    interruptible: bool = True
    """Whether a voice over the reply can stop it."""

    @property
    def by_hand(self) -> bool:
        """Whether voices neither ask for a reply nor stop one: both is the client's alone."""
        return not (self.respond or self.interruptible)

    def patience(self, complete: float, over: bool = False) -> int:
        """Samples of silence after which a turn that sounds ``complete`` (0 to 1) is over; ``over``: the model of
        turn-taking hears that it is.
        """
        if over:
            return samples(max(0.0, self.leisure - 1) * self.shortest_ms)
        if self.silence_ms is not None:
            return samples(self.silence_ms)
        share = min(1.0, max(0.0, complete))
        more = self.unheard_ms if self.modelled else 0
        return samples(self.leisure * (self.longest_ms - share * (self.longest_ms - self.shortest_ms) + more))

    def hold(self, hum: bool = False) -> int:
        """Samples after which a voice over the reply stops the playing, at first tentatively."""
        usual = self.modelled_hold_ms if self.modelled else self.hold_ms
        return samples(max(usual, self.hinted_hold_ms) if hum else usual)

    def confirm(self, hum: bool) -> int:
        """Samples after which a voice over the reply interrupts it; a mere "yeah, yeah" has twice as long."""
        return samples(self.confirm_ms * (2 if hum else 1))
