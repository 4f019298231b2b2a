"""Finished models for others: ONNX files, and the Hugging Face hub."""
