"""How good the trained network is, and whether that is enough."""
