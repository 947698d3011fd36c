"""How many requests a client may make: a bucket of tokens for each, which fills at a constant rate."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["RateLimit"]

_MOST_CLIENTS = 10_000


class RateLimit:
    """Buckets by client; the client that was not heard for longest makes room. Not for several threads."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, client: str, now: float) -> bool:
        """Whether the client may make a request at this time, in seconds of any clock; counts it if so."""
        left, before = self._buckets.pop(client, (float(self._burst), now))
        left = min(float(self._burst), left + (now - before) * self._rate)
        admitted = left >= 1
        self._buckets[client] = (left - admitted, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return admitted
