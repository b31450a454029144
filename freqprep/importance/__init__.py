"""Which frequency channels matter: one pass over a split, scores from its sums, selections.

``shard_counts`` counts one shard, ``sums`` merges the counts exactly, ``collect`` runs the pass;
``scores``, ``gain``, ``visibility``, ``labels`` and ``redundancy`` are pure functions of the sums;
``stability`` compares halves of the data, ``proposal`` chooses channels, ``drift`` compares two
splits, and ``analysis`` puts it all together.
"""
