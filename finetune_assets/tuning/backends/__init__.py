"""Who tunes: one small protocol, and what carries it out.

Here belong the managed backends, their submission at most once, and watching a job to its end. The local trainer is
planned in `tuning/local.py` and run by `lineage`.
"""
