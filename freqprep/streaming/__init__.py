"""Streaming a split for training: which rows when (`order`, pure), and the reading ahead of them.

torch is imported only where a batch becomes tensors.
"""
