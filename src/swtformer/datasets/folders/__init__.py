"""Folders and file names that hold labels."""
