"""Text for people: quantities, escapes, and layout for terminals."""
