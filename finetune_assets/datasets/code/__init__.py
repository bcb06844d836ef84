"""Source code: what a file declares, read by tree-sitter grammars.

Here belongs the way from a file's text to its types, methods, fields and documentation, and what is noticed on it:
syntax errors, secrets, licence headers, characters that deceive. No task type is known here; the questions that are
asked about code are the business of `task_types/source_code.py`.
"""
