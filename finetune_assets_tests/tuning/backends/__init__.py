"""Tests of the managed backends, against the stand-in and with Google's real clients."""
