"""Towards API Manager: REST APIs made at the gateway appear there, already deployed, and stay in step.

config.py     what of the settings concerns it
transport.py  one exchange over TLS: bounded in time and size, failures as values
oauth.py      access tokens
publisher.py  the calls of the publisher
archive.py    a stored API as the archive that the publisher imports; with parts of its own: rendering.py,
              hub_policies.py, openapi.py, kept.py, yaml_writing.py
evidence.py   what API Manager says of an API, and whether somebody edited it there
plan.py       what a sync would do about an API, and why
sync.py       the engine: takes work out of the outbox and does it
"""
