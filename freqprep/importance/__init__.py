"""Importance of frequency channels: one pass over a split, scores of its sums, selections.

``shard_counts`` counts one shard, ``sums`` merges the counts exactly, ``collect`` runs the pass;
``scores``, ``gain``, ``visibility``, ``label_scores`` and ``redundancy`` are pure functions of the
sums. ``analysis`` computes all scores, and ``stability`` how far halves of the data agree on them.
``proposal`` and ``choice`` choose channels, ``network_judge`` evaluates them with a trained
network, ``drift`` compares two splits, and ``request`` runs all of it.
"""
