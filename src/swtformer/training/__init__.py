"""Training: augmentation, loaders, the Lightning module, checkpoints and callbacks."""
