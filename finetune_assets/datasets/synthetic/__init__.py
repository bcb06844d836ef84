"""Seeded generators of the samples that ship with the project.

Here belong phrase banks, the early-years framework's words, and what turns them into files. A generator is a pure
function of its seed; reading, checking and splitting records belongs to the modules above this package.
"""
