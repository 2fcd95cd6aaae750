"""Getting credentials at an API Manager: for people, once, before a gateway can sync its APIs there.

calls.py         one exchange, failures as an exception that says what to do
registration.py  the client of the gateway, a proof that it may do its work, and the gateway itself
files.py         the credentials as a Kubernetes Secret or as an environment file, and keeping the file private
"""
