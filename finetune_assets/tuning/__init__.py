"""Tuning requests and the backends that carry them out.

Here belong the configuration of a tuning run, its identity, and launch plans: what is to be started, with which
environment. No model is loaded and no process is started here; `training/` trains and `lineage/` launches.
"""
