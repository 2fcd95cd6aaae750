"""Reconciling: what the control plane lists against what is stored, one step per list, always the same code.

Runs at every connect, at every polling interval and on demand. A step that fails leaves everything as it is and does
not keep the others from running. `steps.py` says which steps there are, in which order.
"""
