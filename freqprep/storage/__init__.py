"""Files that are written atomically and durably."""
