"""What came of a run: accuracy, and what it costs in parameters, arithmetic and bytes."""

from __future__ import annotations

from typing import Any

from freqprep.store.channel_bytes import bytes_read
from freqprep.store.split import Split
from freqprep.training.run_state import RunState


def results_of(run: RunState, train: Split) -> dict[str, Any]:
    """The results that a run's config states.

    Parameters
    ----------
    run : RunState
        When all is done.
    train : Split

    Returns
    -------
    dict
        ``validation``, of the last epoch, empty without one; ``parameters``;
        ``multiply_accumulates`` of one image (of a detector, its backbone's);
        ``read_bytes_per_image``: from disk, of the channels read, the shards' indexes included;
        ``source_bytes_per_image``: of the image files that the store was made from.
    """
    valid = max(int(train.valid.sum()), 1)
    network = run.average.network
    read = run.config.inputs.read_selection.indices
    return {
        "validation": run.validation,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_accumulates": run.task.arithmetic(network),
        "read_bytes_per_image": bytes_read(train, read) / valid,
        "source_bytes_per_image": int(train.array("source_bytes")[train.valid].sum()) / valid,
    }
