"""Pictures of a split: objects drawn on an image, channels side by side, image files."""
