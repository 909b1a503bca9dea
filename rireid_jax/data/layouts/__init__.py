"""Readers of original downloads: which images there are, of whom, by which camera.

A reader that one data set alone has is in that data set's file.
"""
