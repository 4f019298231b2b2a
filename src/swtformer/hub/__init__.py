"""Saved models here and on the Hugging Face hub: finding, loading, publishing them, and their model cards."""
