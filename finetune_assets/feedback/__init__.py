"""Feedback: what was predicted live, which of it was wrong, and when that is reason enough to tune again.

Here belong the record of predictions, error cases with their corrections, trigger decisions and replay. Nothing here
serves, makes datasets or starts runs.
"""
