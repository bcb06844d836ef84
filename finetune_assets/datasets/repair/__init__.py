"""Repair of source files: ids and schema faults that have one safe mend, with a backup and a list of every change.

What has more than one possible mend is left as it is, for the quarantine to name. A second repair changes nothing.
"""
