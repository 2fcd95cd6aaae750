"""One module per event family: what an event means, in terms of the write path.

A handler routes an event to its queue and handles it; it answers with an outcome and never raises for what the control
plane, the network or the store does. `registry.py` says which handler takes which type.
"""
