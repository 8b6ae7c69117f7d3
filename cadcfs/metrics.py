"""The mount in numbers, for Prometheus: `.cadcfs/metrics`, and a port of this machine on request.

`METRICS` is all there is; docs/monitoring.md tells of each.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import trio

from cadcfs.errors import UserError
from cadcfs.kernel.requests import BUCKETS, OperationStatistics
from cadcfs.status import Snapshot

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PREFIX = "cadcfs_"

Value = Callable[[Snapshot], float | None]

GAUGES: dict[str, tuple[str, Value]] = {
    "start_time_seconds": ("When it was mounted, since 1970", lambda s: s.since),
    "requests_in_flight": ("Calls of the kernel that wait", lambda s: len(s.under_way)),
    "oldest_request_seconds": (
        "How long the oldest of them waits", lambda s: max((u.age for u in s.under_way), default=0)
    ),
    "open_files": ("Open files", lambda s: s.open_files),
    "inodes": ("Inodes known to the kernel", lambda s: s.inodes),
    "cache_used_bytes": ("File blocks on disk", lambda s: s.cache.used),
    "cache_limit_bytes": ("File blocks on disk at most", lambda s: s.cache.limit),
    "cache_disk_free_bytes": ("Free on the cache's file system", lambda s: s.cache.free),
    "listings": ("Answers in memory", lambda s: s.answers.known),
    "listing_rows": ("Their rows", lambda s: s.answers.rows),
    "questions_in_flight": ("Questions under way", lambda s: s.answers.in_flight),
    "stale_answers": ("Answers that could not be asked again", lambda s: s.answers.stale),
    "makings_in_flight": ("Files being made", lambda s: s.made.under_way),
    "transfers_in_flight": ("Files of which bytes are coming", lambda s: len(s.transfers)),
    "offline": ("1 when the network is left alone", lambda s: s.is_offline),
    "logged_in": ("1 when an account asks the archive", lambda s: bool(s.identity.name)),
    "login_expiry_seconds": ("When that ends, since 1970", lambda s: s.identity.until),
}  # fmt: skip
COUNTERS: dict[str, tuple[str, Value]] = {
    "cache_hits": ("Reads that the cache answered", lambda s: s.reads.hits),
    "cache_misses": ("Reads that waited for the archive", lambda s: s.reads.misses),
    "cache_evicted_files": ("Files that made room", lambda s: s.reads.evicted_files),
    "fetches": ("Requests for file bytes", lambda s: s.reads.fetches),
    "fetches_cancelled": ("... that nobody wanted any more", lambda s: s.reads.cancelled),
    "fetched_bytes": ("File bytes that arrived", lambda s: s.reads.fetched_bytes),
    "questions": ("Questions to the archive", lambda s: s.answers.loads),
    "questions_failed": ("... that failed", lambda s: s.answers.failures),
    "made_files": ("Files made: cutouts, headers, unpacked", lambda s: s.made.made),
    "made_files_failed": ("... that could not be made", lambda s: s.made.failed),
    "made_files_refused": ("... of which the archive has nothing", lambda s: s.made.refused),
}
LABELLED = {
    "info": ("Version of cadcfs", "version"),
    "request_seconds": ("Calls of the kernel, by operation", "operation"),
    "request_errors": ("Calls answered with an error", "errno"),
    "service_up": ("0 for a service that does not answer", "service"),
    "log_lines": ("Lines in the log", "level"),
}
METRICS = frozenset(PREFIX + name for name in (*GAUGES, *COUNTERS, *LABELLED))
"""Names of all metrics, counters without their `_total`."""


def exposition(snapshot: Snapshot) -> str:
    """All metrics in the Prometheus text format; blocking."""
    from prometheus_client import generate_latest

    return generate_latest(_registry(lambda: snapshot)).decode()


async def serving(
    port: int,
    snapshot: Callable[[], Awaitable[Snapshot]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the metrics on this machine's loopback, for ever.

    Raises
    ------
    UserError
        The port cannot be had.
    """
    token = trio.lowlevel.current_trio_token()

    def ask() -> Snapshot:
        return trio.from_thread.run(snapshot, trio_token=token)

    def start() -> WSGIServer:
        from prometheus_client import start_http_server

        return start_http_server(port, addr=LOOPBACK, registry=_registry(ask))[0]

    try:
        server = await trio.to_thread.run_sync(start)
    except OSError as exc:
        raise UserError(
            f"metrics_port {port} cannot be used ({exc.strerror}); name another, or 0 for none"
        ) from exc
    log.info("metrics on http://%s:%d/metrics", LOOPBACK, port)
    task_status.started()
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(server.shutdown)
        server.server_close()


def _registry(snapshot: Callable[[], Snapshot]) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, ProcessCollector

    registry = CollectorRegistry()
    registry.register(_Collector(snapshot))
    ProcessCollector(registry=registry)
    return registry


class _Collector:
    """What prometheus_client asks at each scrape (its `Collector`)."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterable[Metric]:
        # Without this, registering would ask for a snapshot.
        return ()

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot()
        yield from _plain(snapshot)
        yield from _labelled(snapshot)


def _plain(snapshot: Snapshot) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kinds: tuple[tuple[Any, dict[str, tuple[str, Value]]], ...] = (
        (GaugeMetricFamily, GAUGES),
        (CounterMetricFamily, COUNTERS),
    )
    for kind, metrics in kinds:
        for name, (words, value) in metrics.items():
            found = value(snapshot)
            # What is not known is left out: 0 would be a lie.
            if found is not None:
                yield kind(PREFIX + name, words, value=float(found))


def _labelled(snapshot: Snapshot) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield _filled(GaugeMetricFamily, "info", {snapshot.version: 1})
    yield _filled(CounterMetricFamily, "request_errors", snapshot.errors)
    yield _filled(CounterMetricFamily, "log_lines", snapshot.log_lines)
    yield _filled(
        GaugeMetricFamily, "service_up", {s.service: int(s.is_well) for s in snapshot.services}
    )
    yield _histogram(snapshot.operations)


def _filled(kind: Any, name: str, values: dict[str, int]) -> Metric:  # noqa: ANN401
    words, label = LABELLED[name]
    family: Metric = kind(PREFIX + name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)  # type: ignore[attr-defined]
    return family


def _histogram(operations: dict[str, OperationStatistics]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    words, label = LABELLED["request_seconds"]
    family = HistogramMetricFamily(PREFIX + "request_seconds", words, labels=[label])
    for name, told in operations.items():
        total, buckets = 0, []
        for end, count in zip((*map(str, BUCKETS), "+Inf"), told.buckets, strict=True):
            total += count
            buckets.append((end, total))
        family.add_metric([name], buckets, told.seconds)
    return family
