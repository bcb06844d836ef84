"""Engines: what turns conversations into answers. Each implements `evaluation.engine.Engine`."""
