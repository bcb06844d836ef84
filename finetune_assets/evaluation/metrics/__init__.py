"""Formulas of single metrics: pure functions of texts and values, by the row or as statistics that are summed.

Here belongs how an answer is held against its reference. Which of them a task is scored by, its task type says; what is
made of the sums (intervals, gates, reports) is the business of the modules above. Nothing in here raises for what a
model wrote: a wrong type scores as wrong.
"""
