"""Stand-ins for Google's services: HTTP servers on loopback that the real clients talk to."""
