"""The gates: what the evidence is, the rules over it one by one, and the verdict that they come to."""
