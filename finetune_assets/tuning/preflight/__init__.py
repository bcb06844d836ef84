"""Preflight: what a service would refuse is found here first, in the files and in the project, before it costs money.

Here belong rules over rendered rows and probes of a project. What models can do stands in `tuning/cloud`.
"""
