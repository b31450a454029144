"""Time, bytes, requests, memory and money of large splits, from what shards and rows cost. Pure.

`scale_tables` prints what docs/scale.md shows; `growth` compares it with the real functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from freqprep.engines.cluster import group_size
from freqprep.importance.collect import shards_together
from freqprep.store.schema import is_large

CHANNELS = (24, 64, 192)
ROWS_PER_SHARD = 128


@dataclass(frozen=True)
class DataSet:
    """Images of one split."""

    name: str
    images: int

    @property
    def shards(self) -> int:
        return -(-self.images // ROWS_PER_SHARD)

    @property
    def is_large(self) -> bool:
        return is_large(self.images)


DATA_SETS = (
    DataSet("ImageNet-1k", 1_281_167),
    DataSet("ImageNet-21k", 14_197_122),
    DataSet("a billion", 10**9),
)


@dataclass(frozen=True)
class Costs:
    """What was measured: seconds of one core, and bytes.

    By ``python -m tests.benchmarks shard_costs`` and ``growth`` on one core of a virtual machine
    (Intel Xeon with AVX-512, 2 cores, 24 GB), Python 3.11, while other work used the second core.
    """

    # a full shard of 128 ImageNet photographs
    convert: float = 0.642
    stats: float = 0.292
    verify: float = 0.277
    load_24: float = 0.0184
    load_64: float = 0.0402
    load_192: float = 0.0928
    source_bytes: int = 14_117_627
    shard_bytes: int = 13_688_160
    read_24: int = 4_052_040
    read_64: int = 8_738_272
    read_192: int = 13_688_160
    requests_24: int = 4
    requests_64: int = 4
    requests_192: int = 2
    task_bytes: int = 12_941
    result_bytes: int = 8_880
    # in the main process: once, and for each shard
    imports: float = 0.2
    hand_out: float = 55e-6
    record: float = 330e-6
    add_up: float = 0.0019
    # in the main process or in each rank, for each row
    list_row: float = 6.5e-6
    plan_row: float = 0.4e-6
    publish_row: float = 2.3e-6
    read_row: float = 0.03e-6
    order_row: float = 0.6e-6
    check_row: float = 3e-6
    # bytes for each row or shard
    key_bytes: int = 33
    row_bytes: int = 48
    plan_row_bytes: int = 16
    journal_bytes: int = 9_491
    held_journal_row: int = 87
    publish_row_bytes: int = 158
    small_row_bytes: int = 17
    order_row_bytes: int = 63
    attributes_bytes: int = 29_000
    manifest_shard_bytes: int = 104  # and the digits of its number
    held_manifest_shard: int = 600
    open_shard: float = 3e-6
    # above 2**23 rows, by ``python -m tests.benchmarks rows``; the last two do not grow
    large_record: float = 80e-6
    large_publish_row: float = 2.6e-6
    large_order_row: float = 0.1e-6
    large_order_shard: float = 0.1e-6
    large_record_bytes: int = 3_846
    large_part_entry_bytes: int = 40
    large_manifest_row_bytes: float = 0.0043
    large_held_record: int = 20
    large_held_length: int = 8
    large_order_shard_bytes: int = 26
    large_publish_bytes: int = 330_000_000
    large_section_bytes: int = 110_000_000


@dataclass(frozen=True)
class Site:
    """What a cluster and a bucket allow. Assumptions: set your own."""

    tasks_per_second: float = 200.0
    cores_per_machine: int = 16
    machine_memory: float = 128e9
    machine_bandwidth: float = 25e9 / 8
    source_bandwidth: float = 5e9
    bucket_bandwidth: float = 100e9 / 8
    gets_per_second: float = 5_500.0
    puts_per_second: float = 3_500.0


@dataclass(frozen=True)
class Prices:
    """Dollars. Assumptions: common list prices as last known on 2026-11-29; set your own."""

    put_1000: float = 0.005
    get_1000: float = 0.0004
    gb_month: float = 0.023
    core_hour: float = 0.045


@dataclass(frozen=True)
class Model:
    """All figures together."""

    costs: Costs = Costs()
    site: Site = Site()
    prices: Prices = Prices()


@dataclass(frozen=True)
class Estimate:
    """Time and requests of one command.

    Attributes
    ----------
    serial : mapping of str to float
        Seconds of one process in which the workers wait, by what it does.
    parallel : mapping of str to float
        Seconds of what goes on at the same time, each as if it were alone.
    gets, puts : int
        Requests to the bucket.
    memory : int
        Bytes of the machine that needs most for what grows with the rows.
    shards_a_task : int
        Shards that are handed to a worker at once.
    """

    serial: Mapping[str, float]
    parallel: Mapping[str, float]
    gets: int
    puts: int
    memory: int
    shards_a_task: int = 1

    @property
    def seconds(self) -> float:
        return sum(self.serial.values()) + max(self.parallel.values())

    @property
    def bottleneck(self) -> str:
        both = {**self.serial, **self.parallel}
        return max(both, key=lambda name: both[name])


def pass_over(
    model: Model,
    data: DataSet,
    workers: int,
    shard: float,
    main: float,
    traffic: Mapping[str, float],
    serial: Mapping[str, float],
    memory: int,
    gets: int = 0,
    puts: int = 0,
    together: int = 1,
) -> Estimate:
    """Estimate a command that hands the shards of a split to workers.

    Parameters
    ----------
    model : Model
    data : DataSet
    workers : int
        Cores.
    shard, main : float
        Seconds a shard of a worker, and of the main process.
    traffic : mapping of str to float
        Bytes a shard from the source, from the bucket and into it.
    serial, memory, gets, puts
        See `Estimate`.
    together : int
        Shards of a task of ours; a task of the cluster is several of them where workers are many.
    """
    site, cluster = model.site, workers > model.site.cores_per_machine
    each = together * group_size(workers, together * shard) if cluster else 1
    tasks = -(-data.shards // each)
    machines = -(-workers // site.cores_per_machine)
    received = traffic.get("source", 0) + traffic.get("from bucket", 0)
    sent = traffic.get("to bucket", 0)
    parallel = {
        "cores": -(-tasks // workers) * each * shard,
        # The last task is handed out last and the first result comes after a task's time.
        "scheduler": tasks / site.tasks_per_second + each * shard if cluster else 0.0,
        "main process": data.shards * main + each * shard,
        "network": data.shards * max(received, sent) / (machines * site.machine_bandwidth),
        "source": data.shards * traffic.get("source", 0) / site.source_bandwidth,
        "bucket": data.shards * (received + sent) / site.bucket_bandwidth,
        "requests": gets / site.gets_per_second + puts / site.puts_per_second,
    }
    return Estimate(serial, parallel, gets, puts, memory, each)


def conversion(model: Model, data: DataSet, workers: int) -> Estimate:
    """Estimate ``freqprep convert`` of a folder of images into a bucket."""
    costs = model.costs
    serial = {
        "listing": data.images * costs.list_row,
        "planning": data.images * costs.plan_row,
        "publishing": costs.imports
        + data.images * (costs.large_publish_row if data.is_large else costs.publish_row),
    }
    traffic = {"source": costs.source_bytes, "to bucket": costs.shard_bytes}
    record = costs.large_record if data.is_large else costs.record
    main, puts = costs.hand_out + record, data.shards + -(-data.shards // 64)
    memory = bytes_of(model, data)["memory: convert"]
    return pass_over(model, data, workers, costs.convert, main, traffic, serial, memory, puts=puts)


def statistics(model: Model, data: DataSet, workers: int) -> Estimate:
    """Estimate ``freqprep stats``."""
    costs, traffic = model.costs, {"from bucket": model.costs.shard_bytes}
    serial, main = _opening(model, data), costs.hand_out + costs.add_up
    memory, gets = _of_workers(model, data, workers), 2 * data.shards
    together = shards_together(data.shards)
    return pass_over(
        model, data, workers, costs.stats, main, traffic, serial, memory, gets, together=together
    )


def verification(model: Model, data: DataSet, workers: int) -> Estimate:
    """Estimate ``freqprep verify``."""
    costs, traffic = model.costs, {"from bucket": model.costs.shard_bytes}
    serial, main = _opening(model, data), costs.hand_out
    serial["small arrays"] = data.images * costs.check_row
    memory, gets = _of_workers(model, data, workers), data.shards
    return pass_over(model, data, workers, costs.verify, main, traffic, serial, memory, gets)


def epoch(model: Model, data: DataSet, workers: int, channels: int) -> Estimate:
    """Estimate reading one epoch of training; ``workers`` are reading cores of all ranks."""
    costs, site = model.costs, model.site
    shard = getattr(costs, f"load_{channels}")
    length = getattr(costs, f"read_{channels}")
    gets = data.shards * getattr(costs, f"requests_{channels}")
    machines = -(-workers // site.cores_per_machine)
    parallel = {
        "cores": data.shards * shard / workers,
        "network": data.shards * length / (machines * site.machine_bandwidth),
        "bucket": data.shards * length / site.bucket_bandwidth,
        "requests": gets / site.gets_per_second,
    }
    serial = {"order": data.images * costs.order_row}
    if data.is_large:  # a rank a machine; its rows are drawn in sections
        mine = data.images / machines
        serial["order"] = data.shards * costs.large_order_shard + mine * costs.large_order_row
    return Estimate(serial, parallel, gets, 0, bytes_of(model, data)["memory: a rank"])


def _opening(model: Model, data: DataSet) -> dict[str, float]:
    costs = model.costs
    rows = data.images * costs.read_row
    listed = 0.0 if data.is_large else data.shards * costs.open_shard
    return {"opening": costs.imports + listed + rows}


def _of_workers(model: Model, data: DataSet, workers: int) -> int:
    each = bytes_of(model, data)["memory: a worker of stats"]
    return each * min(workers, model.site.cores_per_machine)


COMMANDS: dict[str, Callable[[Model, DataSet, int], Estimate]] = {
    "convert": conversion,
    "stats": statistics,
    "verify": verification,
    **{
        f"epoch, {channels} channels": lambda model, data, workers, channels=channels: epoch(
            model, data, workers, channels
        )
        for channels in CHANNELS
    },
}


def bytes_of(model: Model, data: DataSet) -> dict[str, int]:
    """Bytes on disk, and in memory of the processes that see all rows."""
    costs = model.costs
    plan = data.images * (2 * costs.key_bytes + costs.row_bytes)
    sizes = {
        "source": data.shards * costs.source_bytes,
        "store": data.shards * costs.shard_bytes,
        "plan": plan,
    }
    if data.is_large:
        listed = data.shards * costs.large_part_entry_bytes
        lines = costs.attributes_bytes + int(data.images * costs.large_manifest_row_bytes)
        held = lines + data.shards * costs.large_held_length
        order = data.shards * costs.large_order_shard_bytes + costs.large_section_bytes
        return {
            **sizes,
            "journal": data.shards * costs.large_record_bytes,
            "manifest": lines + listed,
            "memory: convert": plan
            + data.images * costs.plan_row_bytes
            + data.shards * costs.large_held_record
            + costs.large_publish_bytes,
            "memory: a worker of stats": held,
            "memory: a rank": held + order,
        }
    listed = costs.manifest_shard_bytes + len(str(data.shards))
    opened = data.images * costs.small_row_bytes + data.shards * costs.held_manifest_shard
    return {
        **sizes,
        "journal": data.shards * costs.journal_bytes,
        "manifest": costs.attributes_bytes + data.shards * listed,
        "memory: convert": plan
        + data.images * (costs.plan_row_bytes + costs.held_journal_row + costs.publish_row_bytes),
        "memory: a worker of stats": opened,
        "memory: a rank": opened + data.images * costs.order_row_bytes,
    }


def dollars(model: Model, estimate: Estimate, workers: int) -> dict[str, float]:
    """Price of the cores, which also wait for what is serial, and of the requests."""
    prices = model.prices
    return {
        "cores": workers * estimate.seconds / 3600 * prices.core_hour,
        "requests": (estimate.puts * prices.put_1000 + estimate.gets * prices.get_1000) / 1000,
    }
