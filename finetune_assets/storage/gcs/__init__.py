"""Artifacts in Google Cloud Storage.

Nothing here makes a client: the caller passes a `google.cloud.storage.Client`. Nothing of google is imported before it
is used.
"""
