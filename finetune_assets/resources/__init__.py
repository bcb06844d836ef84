"""Dagster resources: thin, lazy doors to the rooms below.

Here belong `ConfigurableResource` classes that open storage, engines and clients when an asset asks for them.
Nothing heavy is imported before that, because every step process loads this package.
"""
