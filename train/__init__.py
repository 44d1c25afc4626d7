"""Training: datasets, splits, augmentation, models, recipes, fit. Keras 3, neutral to its backend."""
