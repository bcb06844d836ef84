"""Releases: which candidate is on its way to live, who approved it, and where the live pointer stood and stands.

Here belong the registry, the approvals, the release manifest and the rules of rollback. Nothing here serves or judges.
"""
