"""Synthetic rows: from an OpenAI-compatible endpoint, or from a template without any network.

Here belongs how rows are asked for, checked, asked for again and kept. Every row says that it is synthetic, who wrote
it and from which prompt; the split keeps such rows out of validation and test.
"""
