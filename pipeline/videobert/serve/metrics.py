"""What Prometheus scrapes from `/metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.3, 1, 3, 10, 30)


class Metrics:
    """Of one application; routes are templates such as `/api/v1/rows/{row_id}`, so their number is bounded."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "videobert_requests", "Requests by route and status.", ["method", "route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "videobert_request_seconds", "From the request to the last byte of its answer.", ["route"],
            buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        self.in_flight = Gauge("videobert_requests_in_flight", "Requests at work.", registry=self._registry)
        self.cache_bytes = Gauge("videobert_cache_bytes", "Copies of footage on the disk.", registry=self._registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """In the text format of Prometheus."""
        return generate_latest(self._registry)
