"""The store, format 1.0: schema, writer, reader and checks.

``schema`` defines the content of a split, ``plan`` fixes every row and shard before work starts,
``shard`` encodes and decodes one shard, ``journal`` records finished shards, ``writer`` writes and
publishes a split, ``manifest`` lists and hashes its files, ``reader`` reads it and ``verify``
checks it. The format is described in docs/format.md.
"""
