"""Damages to downloads of every layout, and the patterns of what the user is told of them."""
