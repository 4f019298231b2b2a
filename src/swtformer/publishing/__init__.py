"""Finished models on their way to others: ONNX files, and the Hugging Face hub with a model card."""
