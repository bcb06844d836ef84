"""Quality of a written split dataset: one module for each thing that can be wrong with it.

Each detector reads the files again, in one pass where it can, and returns a `QualityFinding`: a share, its limit and
the rows behind it, by id and field. No finding quotes a text of a person.
"""
