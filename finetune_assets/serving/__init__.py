"""The live endpoint: engines that answer, the gateway in front of them, its process and its probes.

Here belongs what runs while people ask questions. Nothing here trains, judges or decides what becomes live: the
gateway follows the pointer that `releases/` keeps, and reads a release's manifest, never defs.yaml.
"""
