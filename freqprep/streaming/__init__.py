"""Streaming a split for training.

``shuffling`` gives the sequence of an epoch's rows, ``order`` deals it to batches and ranks: both
are pure. ``filling`` makes tasks of it, ``pipeline`` runs them in threads ahead of the consumer,
``delivery`` turns memory into tensors, and ``loader`` is what people use. torch is imported only
where tensors are made.
"""
