"""Annotation files of labelling tools: JSON, XML and text files beside images."""
