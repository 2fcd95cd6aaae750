"""Policy `api-key-auth`: a request needs an active API key of the API it calls. Only hashes are ever compared."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

from gatewright.artifacts.policies import PolicyDefinition
from gatewright.policies.api_key_auth.behaviour import ApiKeyAuth
from gatewright.policies.api_key_auth.native import NativeApiKeyAuth
from gatewright.policies.contract import Behaviour


class ApiKeyAuthPolicy:
    """Definition, behaviour and native form together."""

    def __init__(self) -> None:
        text = files(__package__).joinpath("definition.yaml").read_text(encoding="utf-8")
        self.definition = PolicyDefinition.from_document(yaml.safe_load(text))
        self.native = NativeApiKeyAuth()

    def attach(self, params: Mapping[str, Any]) -> Behaviour:
        """The behaviour with the header to read and the prefix to cut."""
        return ApiKeyAuth(header=str(params["key"]), prefix=str(params.get("valuePrefix") or ""))


POLICY = ApiKeyAuthPolicy()
