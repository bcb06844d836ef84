"""Namespaces: under which name a run's results are kept. Experiments have one of their own each, all else is `main`."""

MAIN = "main"
