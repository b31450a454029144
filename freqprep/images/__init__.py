"""Image files: decoding, boxes and masks on the grid of blocks, encoding to codes."""
