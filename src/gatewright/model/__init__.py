"""The intermediate model between the documents people write and Envoy's resources.

Frozen values without I/O. Nothing here knows YAML, the database, protobuf or a control plane: `compile/` makes these
values out of artifacts, `envoy/` turns them into resources. Equal values mean that there is nothing to do.
"""
