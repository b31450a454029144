"""Files that are written whole and durably, or not at all."""
