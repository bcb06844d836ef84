"""Splitting without leaks: near-duplicates, leak groups, assignments with memory, and the certificate."""
