"""How `api-key-auth` tells `subscription-validation` which application a key belongs to. Pure."""

import re
from collections.abc import Mapping

from gatewright.model.credentials import ApiKeyCredential

APPLICATION_ID = "x-wso2-application-id"
APPLICATION_NAME = "x-wso2-application-name"
APPLICATION_UUID = "x-gatewright-application-uuid"
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def metadata_of(key: ApiKeyCredential) -> dict[str, str]:
    """What is noted of a key's application."""
    return {
        APPLICATION_ID: key.application_id,
        APPLICATION_NAME: key.application_name,
        APPLICATION_UUID: key.application_uuid,
    }


def names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """What a subscription may call the application: its UUID or its handle, in the order of trust.

    A handle that looks like a UUID could be that of another application, chosen to use its subscriptions.
    """
    handle, uuid = metadata.get(APPLICATION_ID, "").strip(), metadata.get(APPLICATION_UUID, "").strip()
    if uuid and _UUID.fullmatch(handle):
        handle = ""
    return tuple(name for name in (uuid, handle) if name)
