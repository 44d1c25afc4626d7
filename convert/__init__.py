"""Conversion: a trained run becomes a bundle. The only part of leukolite that loads TensorFlow."""
