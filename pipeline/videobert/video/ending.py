"""How long the last picture of a video is shown, and whether the file broke off before its end. Pure arithmetic.

Players show the last picture until the sound has ended: a last slide, a podcast of one still. Times are exact fractions
of seconds from time zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["INEXACT_SECONDS", "Ending"]

INEXACT_SECONDS = Fraction(1, 5)
"""By which headers and the padding of sound may miss the end of the pictures; a packet of AAC lasts up to 0.13 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is known of a video's end once all of its packets were read."""

    shown_from: Fraction
    """When the last picture appeared."""
    shown_until: Fraction
    """When it goes, by its own duration, which a file may have copied from the picture before."""
    declared: Fraction | None
    """End of the pictures by the header."""
    heard_until: Fraction
    """End of the last packet of sound; zero where sound does not matter."""

    @property
    def stands_until(self) -> Fraction:
        """When the last picture goes in a whole file: when the header says, and not before the sound has ended."""
        until = self.shown_until
        if self.declared is not None and self.shown_from < self.declared < until - INEXACT_SECONDS:
            until = self.declared
        return self.heard_until if self.heard_until - until > INEXACT_SECONDS else until

    def breaks_off(self, tolerance: Fraction | None = None) -> bool:
        """Whether the header promised pictures for more than `tolerance` seconds after all that the file holds.

        Headers are inexact: the shortest tolerance that says something is the default.
        """
        if self.declared is None or self.declared - self.shown_until <= (tolerance or INEXACT_SECONDS):
            return False
        return self.declared - self.heard_until > INEXACT_SECONDS
