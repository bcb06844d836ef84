"""Versions of a task's dataset: listing, comparing, restoring, tracing a row, downloading.

Here belongs what is asked of versions that exist. How one is built is in `datasets/build.py`.
"""
