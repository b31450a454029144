"""Where work runs: worker processes today, and what the threads of one process share."""

from freqprep.engines.local import default_jobs, run

__all__ = ["default_jobs", "run"]
