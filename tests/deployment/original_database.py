"""Builds gateway databases of the original (SQLite, 1.1 and 1.2) from the schema in the reference, section 5.4."""

import json
import sqlite3
from pathlib import Path

GATEWAY = "platform-gateway-id"
TIME = "2026-03-01 10:20:30.123456789+00:00"
GO_TIME = "2026-03-01 10:20:30.5 +0000 UTC m=+0.001"
USER_VERSIONS = {"1.1": 2, "1.2": 4}

_ARTIFACT_DATA_VERSION = {"1.1": "", "1.2": "data_version TEXT NOT NULL DEFAULT '1.0',"}
_SCHEMA = """
CREATE TABLE artifacts (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, display_name TEXT NOT NULL, version TEXT NOT NULL,
  {data_version} kind TEXT NOT NULL, handle TEXT NOT NULL, desired_state TEXT NOT NULL, deployment_id TEXT,
  origin TEXT NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, deployed_at TIMESTAMP, cp_sync_status TEXT,
  cp_sync_info TEXT, cp_artifact_id TEXT, PRIMARY KEY (gateway_id, uuid));
CREATE TABLE rest_apis (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, configuration TEXT NOT NULL,
  PRIMARY KEY (gateway_id, uuid));
CREATE TABLE llm_providers (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, configuration TEXT NOT NULL);
CREATE TABLE mcp_proxies (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, configuration TEXT NOT NULL);
CREATE TABLE llm_proxies (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, configuration TEXT NOT NULL,
  provider_uuid TEXT NOT NULL);
CREATE TABLE llm_provider_templates (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, handle TEXT NOT NULL,
  configuration TEXT NOT NULL, created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE certificates (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, name TEXT NOT NULL, certificate BLOB NOT NULL,
  subject TEXT NOT NULL, issuer TEXT NOT NULL, not_before TIMESTAMP NOT NULL, not_after TIMESTAMP NOT NULL,
  cert_count INTEGER NOT NULL DEFAULT 1, created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE api_keys (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, name TEXT NOT NULL, api_key TEXT NOT NULL,
  masked_api_key TEXT NOT NULL, artifact_uuid TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'active',
  created_at TIMESTAMP, created_by TEXT NOT NULL DEFAULT 'system', updated_at TIMESTAMP, expires_at TIMESTAMP,
  source TEXT NOT NULL DEFAULT 'local', external_ref_id TEXT, issuer TEXT, PRIMARY KEY (gateway_id, api_key));
CREATE TABLE subscription_plans (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, plan_name TEXT NOT NULL,
  billing_plan TEXT, stop_on_quota_reach INTEGER DEFAULT 1, throttle_limit_count INTEGER, throttle_limit_unit TEXT,
  expiry_time TIMESTAMP,
  status TEXT NOT NULL DEFAULT 'ACTIVE', created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE subscriptions (uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, api_id TEXT NOT NULL, application_id TEXT,
  subscription_token_hash TEXT NOT NULL, subscription_plan_id TEXT, billing_customer_id TEXT,
  billing_subscription_id TEXT, status TEXT NOT NULL DEFAULT 'ACTIVE', created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE applications (application_uuid TEXT NOT NULL, gateway_id TEXT NOT NULL, application_id TEXT NOT NULL,
  application_name TEXT NOT NULL, application_type TEXT NOT NULL, created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE application_api_keys (application_uuid TEXT NOT NULL, api_key_id TEXT NOT NULL, gateway_id TEXT NOT NULL,
  created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE secrets (gateway_id TEXT NOT NULL, handle TEXT NOT NULL, display_name TEXT NOT NULL, description TEXT,
  ciphertext BLOB NOT NULL, created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE gateway_states (gateway_id TEXT PRIMARY KEY, version_id TEXT NOT NULL DEFAULT '', updated_at TIMESTAMP);
CREATE TABLE events (gateway_id TEXT NOT NULL, processed_timestamp TIMESTAMP NOT NULL,
  originated_timestamp TIMESTAMP NOT NULL, entity_type TEXT NOT NULL, action TEXT NOT NULL, entity_id TEXT NOT NULL,
  event_id TEXT NOT NULL, event_data TEXT NOT NULL);
"""


class OriginalDatabase:
    """An open file to which rows are added."""

    def __init__(self, path: Path, release: str = "1.2") -> None:
        self.path = path
        self.connection = sqlite3.connect(path)
        self.connection.executescript(_SCHEMA.format(data_version=_ARTIFACT_DATA_VERSION[release]))
        if release == "1.1":
            self.connection.execute("CREATE TABLE websub_apis (uuid TEXT, gateway_id TEXT, configuration TEXT)")
        self.connection.execute(f"PRAGMA user_version = {USER_VERSIONS[release]}")

    def add(self, table: str, **row: object) -> None:
        row = {"gateway_id": GATEWAY, **row}
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))

    def add_artifact(self, table: str, kind: str, handle: str, document: dict[str, object], **changed: object) -> None:
        details = {name: changed.pop(name) for name in ("provider_uuid",) if name in changed}
        if table == "llm_provider_templates":
            details["handle"] = handle
        row = {
            "uuid": f"uuid-{handle}",
            "kind": kind,
            "handle": handle,
            "display_name": handle,
            "version": "v1.0",
            "desired_state": "deployed",
            "origin": "gateway_api",
            "created_at": TIME,
            "updated_at": GO_TIME,
            "deployed_at": TIME,
            **changed,
        }
        self.add("artifacts", **row)
        self.add(table, uuid=row["uuid"], configuration=json.dumps(document), **details)

    def close(self) -> Path:
        self.connection.commit()
        self.connection.close()
        return self.path
