"""Text for people: quantities in words, and what fits a terminal."""
