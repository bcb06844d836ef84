"""From source files to splits: readers, normalisation, quarantine, leak groups, splitting, rendering and checks.

Here belongs everything that decides which rows a model learns from and is judged by. No Dagster, no training, no
database.
"""
