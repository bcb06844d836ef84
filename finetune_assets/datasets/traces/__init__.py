"""Routing traces: how a router lays out its plan. Here belong their rules, for the task type and for generators."""
