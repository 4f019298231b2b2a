"""One streaming pass over maps or masks, and one schema of scores."""
