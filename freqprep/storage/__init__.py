"""Files, objects of buckets, and small documents: read, listed, written at once."""
