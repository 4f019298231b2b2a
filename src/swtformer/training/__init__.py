"""Training: samples, augmentation, and the Lightning modules that `engine` fits."""
