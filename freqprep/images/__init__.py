"""Image files: bytes to pixels, boxes and masks on a grid, and pixels to stored codes."""
