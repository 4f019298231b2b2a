"""Readers of data sets: plug-ins, one file for each format."""
