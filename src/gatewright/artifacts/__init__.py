"""The documents users write: reading, schemas, validation, rendering of expressions.

Pure: no files, sockets, clocks or databases, and nothing of the project above the standard library is imported.
Secrets, environment variables, router defaults and policy definitions come in as arguments. One module per kind;
everything that kinds share (metadata, upstreams, durations, policies, templates) is a module of its own, so that a
further kind only adds files.
"""
