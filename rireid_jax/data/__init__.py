"""Data sets: degradation, masks, synthetic images, builders and the input pipeline."""
