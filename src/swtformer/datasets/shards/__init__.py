"""Shards, files that hold many images and perhaps their labels, as images on this disk."""
