"""The words every room shares: records, examples, the task-type protocol, digests and errors.

Here belong value types and pure functions over them. No file formats, no models, no database.
"""
