"""Engines that run work: worker processes, and settings shared by threads of one process."""

from freqprep.engines.local import default_jobs, run

__all__ = ["default_jobs", "run"]
