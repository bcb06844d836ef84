"""Judging: answers are collected, scored, compared in pairs, held against gates and reported.

Everything here is a pure function of answers and a seed; models come in through the `Engine` protocol only.
"""
