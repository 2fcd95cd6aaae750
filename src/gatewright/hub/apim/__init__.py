"""The hub in the role of an on-premises API Manager 4.7: the same wire, the same rules, and faults on demand.

Shares with the rest of the hub what serves any control plane (store, connections, TLS, listener), and with the gateway
nothing but `wire/`. Everything it holds is one organisation's.
"""
