"""How it flows: the Dagster layer, one module for each asset of the graph with its checks beside it.

An asset here is thin: it reads the manifests of its upstream, calls one function of a lower room, and returns a
`MaterializeResult` whose data version is a content digest and whose metadata a person wants to look at.
"""
