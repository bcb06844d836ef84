"""Triggers: from a window of evidence to a decision, and what the same rules would have decided in the past.

Everything here is a pure function of its arguments. The clock, the databases and the sensor are the caller's.
"""
