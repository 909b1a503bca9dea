"""The original downloads as people have them on disk: which images there are, of whom, by which camera."""
