"""Towards the control plane: artifacts made at the gateway, and the gateway's manifest.

Only to platform control planes; API Manager has its own way.
"""
