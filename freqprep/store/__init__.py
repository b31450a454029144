"""The store of format 1.0: what is in it, how it is written, read and checked.

``schema`` says what a split holds, ``plan`` fixes every row and shard before work starts,
``shard`` is the bytes of one shard, ``journal`` remembers finished shards, ``writer`` builds and
publishes a split, ``manifest`` lists and hashes its files, ``reader`` reads it and ``verify``
checks it. The format itself is described in docs/format.md.
"""
