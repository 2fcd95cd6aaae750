"""Policies: one folder or module for each, with one behaviour in up to two forms.

The Python behaviour is the reference; the engine runs it. The native form makes Envoy do exactly the same and is an
optimisation, never a second meaning: the same cases run against both. Pure: no I/O, no database, no network.
Policies of other packages are found through the entry point group `gatewright.policies`.
"""
