"""Taxonomies: reading them, asking them, comparing two of them and carrying labels from one to the next."""
