"""Request headers that belong to the gateway: never taken from a client, never shown to an upstream."""

SCOPE_HEADER = "x-gatewright-scope"
CREDENTIAL_HEADER = "x-gatewright-credential"
SUBSCRIPTION_HEADER = "x-gatewright-subscription"
ORIGINAL_PATH_HEADER = "x-envoy-original-path"
ORIGINAL_HOST_HEADER = "x-envoy-original-host"

NOT_FROM_CLIENTS = (ORIGINAL_PATH_HEADER, ORIGINAL_HOST_HEADER, CREDENTIAL_HEADER, SUBSCRIPTION_HEADER)
NOT_TO_UPSTREAMS = (SCOPE_HEADER, CREDENTIAL_HEADER, SUBSCRIPTION_HEADER)
