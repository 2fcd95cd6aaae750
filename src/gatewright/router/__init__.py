"""One router: Envoy as a supervised child process, fed by a relay that keeps the last good snapshot on disk.

`binary.py` finds Envoy, `bootstrap.py` writes its start configuration, `supervisor.py` keeps it running, `admin.py`
asks it how it is, `router.py` puts them together. Talks to the rest of the system only through `xds/`.
"""
