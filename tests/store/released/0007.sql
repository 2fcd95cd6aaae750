BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007');
CREATE TABLE api_keys (
	gateway_id VARCHAR(64) NOT NULL, 
	api_key VARCHAR(255) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	masked_api_key VARCHAR(255) NOT NULL, 
	artifact_uuid VARCHAR(64) NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	created_at BIGINT NOT NULL, 
	created_by VARCHAR(255) NOT NULL, 
	updated_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	source VARCHAR(64) NOT NULL, 
	origin VARCHAR(20) NOT NULL, 
	external_ref_id VARCHAR(255), 
	issuer VARCHAR(255), 
	CONSTRAINT pk_api_keys PRIMARY KEY (gateway_id, api_key), 
	CONSTRAINT uq_api_keys_gateway_id_artifact_uuid_name UNIQUE (gateway_id, artifact_uuid, name), 
	CONSTRAINT uq_api_keys_gateway_id_uuid UNIQUE (gateway_id, uuid)
);
INSERT INTO "api_keys" VALUES('platform-gateway-id','api_key','u1','name','masked_api_key','artifact_uuid','status',1795996800000000,'created_by',1795996800000000,1795996800000000,'source','origin','external_ref_id','issuer');
CREATE TABLE apim_records (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	version VARCHAR(255) NOT NULL, 
	api_id VARCHAR(255), 
	revision VARCHAR(255), 
	content VARCHAR(64), 
	begun VARCHAR(64), 
	fingerprint VARCHAR(64), 
	synced_at BIGINT, 
	error TEXT, 
	failure VARCHAR(20), 
	failed_at BIGINT, 
	gone_at BIGINT, 
	claimed_by VARCHAR(64), 
	claimed_until BIGINT, 
	CONSTRAINT pk_apim_records PRIMARY KEY (gateway_id, uuid)
);
INSERT INTO "apim_records" VALUES('platform-gateway-id','u1','name','version','api_id','revision','content','begun','fingerprint',1795996800000000,'error','failure',1795996800000000,1795996800000000,'claimed_by',1795996800000000);
CREATE TABLE application_api_keys (
	gateway_id VARCHAR(64) NOT NULL, 
	application_uuid VARCHAR(64) NOT NULL, 
	api_key_id VARCHAR(64) NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_application_api_keys PRIMARY KEY (gateway_id, application_uuid, api_key_id), 
	CONSTRAINT fk_application_api_keys_applications FOREIGN KEY(gateway_id, application_uuid) REFERENCES applications (gateway_id, application_uuid) ON DELETE CASCADE
);
INSERT INTO "application_api_keys" VALUES('platform-gateway-id','application_uuid','api_key_id',1795996800000000,1795996800000000);
CREATE TABLE applications (
	gateway_id VARCHAR(64) NOT NULL, 
	application_uuid VARCHAR(64) NOT NULL, 
	application_id VARCHAR(255) NOT NULL, 
	application_name VARCHAR(255) NOT NULL, 
	application_type VARCHAR(255) NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_applications PRIMARY KEY (gateway_id, application_uuid)
);
INSERT INTO "applications" VALUES('platform-gateway-id','application_uuid','application_id','application_name','application_type',1795996800000000,1795996800000000);
CREATE TABLE artifacts (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	handle VARCHAR(255) NOT NULL, 
	display_name VARCHAR(255) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	data_version VARCHAR(20) DEFAULT '1.0' NOT NULL, 
	desired_state VARCHAR(20) NOT NULL, 
	deployment_id VARCHAR(255), 
	deployed_at BIGINT, 
	origin VARCHAR(255) NOT NULL, 
	cp_artifact_id VARCHAR(255), 
	cp_sync_status VARCHAR(20), 
	cp_sync_info TEXT, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_artifacts PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT uq_artifacts_gateway_id_kind_display_name_version UNIQUE (gateway_id, kind, display_name, version), 
	CONSTRAINT uq_artifacts_gateway_id_kind_handle UNIQUE (gateway_id, kind, handle)
);
INSERT INTO "artifacts" VALUES('platform-gateway-id','u1','RestApi','orders','display_name','version','data_version','desired_state','deployment_id',1795996800000000,'origin','cp_artifact_id','cp_sync_status','cp_sync_info',1795996800000000,1795996800000000);
CREATE TABLE certificates (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	certificate TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	issuer TEXT NOT NULL, 
	not_before BIGINT NOT NULL, 
	not_after BIGINT NOT NULL, 
	cert_count INTEGER NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_certificates PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT uq_certificates_gateway_id_name UNIQUE (gateway_id, name)
);
INSERT INTO "certificates" VALUES('platform-gateway-id','u1','name','certificate','subject','issuer',1795996800000000,1795996800000000,1,1795996800000000,1795996800000000);
CREATE TABLE changes (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	gateway_id VARCHAR(64) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	entity_id VARCHAR(64) NOT NULL, 
	artifact_id VARCHAR(64) NOT NULL, 
	action VARCHAR(20) NOT NULL, 
	correlation_id VARCHAR(255) NOT NULL, 
	at BIGINT NOT NULL
);
INSERT INTO "changes" VALUES(1,'platform-gateway-id','RestApi','entity_id','artifact_id','action','correlation_id',1795996800000000);
CREATE TABLE controllers (
	gateway_id VARCHAR(64) NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	token VARCHAR(64), 
	report TEXT, 
	started_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_controllers PRIMARY KEY (gateway_id, id)
);
INSERT INTO "controllers" VALUES('platform-gateway-id','id',1,'name','token','{"kind":"RestApi"}',1795996800000000,1795996800000000);
CREATE TABLE last_good (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	model TEXT NOT NULL, 
	CONSTRAINT pk_last_good PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT fk_last_good_artifacts FOREIGN KEY(gateway_id, uuid) REFERENCES artifacts (gateway_id, uuid) ON DELETE CASCADE
);
INSERT INTO "last_good" VALUES('platform-gateway-id','u1','{"kind":"RestApi"}');
CREATE TABLE llm_provider_templates (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	configuration TEXT NOT NULL, 
	CONSTRAINT pk_llm_provider_templates PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT fk_llm_provider_templates_artifacts FOREIGN KEY(gateway_id, uuid) REFERENCES artifacts (gateway_id, uuid) ON DELETE CASCADE
);
INSERT INTO "llm_provider_templates" VALUES('platform-gateway-id','u1','{"kind":"RestApi"}');
CREATE TABLE llm_providers (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	configuration TEXT NOT NULL, 
	CONSTRAINT pk_llm_providers PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT fk_llm_providers_artifacts FOREIGN KEY(gateway_id, uuid) REFERENCES artifacts (gateway_id, uuid) ON DELETE CASCADE
);
INSERT INTO "llm_providers" VALUES('platform-gateway-id','u1','{"kind":"RestApi"}');
CREATE TABLE llm_proxies (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	configuration TEXT NOT NULL, 
	provider_uuid VARCHAR(64), 
	CONSTRAINT pk_llm_proxies PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT fk_llm_proxies_llm_providers FOREIGN KEY(gateway_id, provider_uuid) REFERENCES llm_providers (gateway_id, uuid) ON DELETE RESTRICT, 
	CONSTRAINT fk_llm_proxies_artifacts FOREIGN KEY(gateway_id, uuid) REFERENCES artifacts (gateway_id, uuid) ON DELETE CASCADE
);
INSERT INTO "llm_proxies" VALUES('platform-gateway-id','u1','{"kind":"RestApi"}','u1');
CREATE TABLE mcp_proxies (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	configuration TEXT NOT NULL, 
	CONSTRAINT pk_mcp_proxies PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT fk_mcp_proxies_artifacts FOREIGN KEY(gateway_id, uuid) REFERENCES artifacts (gateway_id, uuid) ON DELETE CASCADE
);
INSERT INTO "mcp_proxies" VALUES('platform-gateway-id','u1','{"kind":"RestApi"}');
CREATE TABLE meta (
	gateway_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	sealed BOOLEAN NOT NULL, 
	CONSTRAINT pk_meta PRIMARY KEY (gateway_id, name)
);
INSERT INTO "meta" VALUES('platform-gateway-id','name','{"kind":"RestApi"}',1);
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	gateway_id VARCHAR(64) NOT NULL, 
	target VARCHAR(64) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	entity_id VARCHAR(64) NOT NULL, 
	action VARCHAR(20) NOT NULL, 
	payload TEXT NOT NULL, 
	correlation_id VARCHAR(255) NOT NULL, 
	attempts INTEGER DEFAULT 0 NOT NULL, 
	created_at BIGINT NOT NULL, 
	not_before BIGINT, 
	last_error TEXT, 
	CONSTRAINT uq_outbox_gateway_id_target_entity_id UNIQUE (gateway_id, target, entity_id)
);
INSERT INTO "outbox" VALUES(1,'platform-gateway-id','target','RestApi','entity_id','action','{"kind":"RestApi"}','correlation_id',1,1795996800000000,1795996800000000,'last_error');
CREATE TABLE rest_apis (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	configuration TEXT NOT NULL, 
	CONSTRAINT pk_rest_apis PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT fk_rest_apis_artifacts FOREIGN KEY(gateway_id, uuid) REFERENCES artifacts (gateway_id, uuid) ON DELETE CASCADE
);
INSERT INTO "rest_apis" VALUES('platform-gateway-id','u1','{"kind":"RestApi"}');
CREATE TABLE secrets (
	gateway_id VARCHAR(64) NOT NULL, 
	handle VARCHAR(255) NOT NULL, 
	display_name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	ciphertext TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_secrets PRIMARY KEY (gateway_id, handle)
);
INSERT INTO "secrets" VALUES('platform-gateway-id','orders','display_name','description','ciphertext',1795996800000000,1795996800000000);
CREATE TABLE subscription_plans (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	plan_name VARCHAR(255) NOT NULL, 
	billing_plan VARCHAR(255), 
	stop_on_quota_reach BOOLEAN NOT NULL, 
	throttle_limit_count BIGINT, 
	throttle_limit_unit VARCHAR(20), 
	expiry_time BIGINT, 
	status VARCHAR(20) NOT NULL, 
	origin VARCHAR(20) NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_subscription_plans PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT uq_subscription_plans_gateway_id_plan_name UNIQUE (gateway_id, plan_name)
);
INSERT INTO "subscription_plans" VALUES('platform-gateway-id','u1','plan_name','billing_plan',1,1,'throttle_limit_unit',1795996800000000,'status','origin',1795996800000000,1795996800000000);
CREATE TABLE subscriptions (
	gateway_id VARCHAR(64) NOT NULL, 
	uuid VARCHAR(64) NOT NULL, 
	api_id VARCHAR(255) NOT NULL, 
	application_id VARCHAR(255), 
	subscription_token_hash VARCHAR(64) NOT NULL, 
	subscription_plan_id VARCHAR(64), 
	billing_customer_id VARCHAR(255), 
	billing_subscription_id VARCHAR(255), 
	status VARCHAR(20) NOT NULL, 
	origin VARCHAR(20) NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_subscriptions PRIMARY KEY (gateway_id, uuid), 
	CONSTRAINT uq_subscriptions_gateway_id_api_id_subscription_token_hash UNIQUE (gateway_id, api_id, subscription_token_hash)
);
INSERT INTO "subscriptions" VALUES('platform-gateway-id','u1','api_id','application_id','subscription_token_h','subscription_plan_id','billing_customer_id','billing_subscription','status','origin',1795996800000000,1795996800000000);
CREATE INDEX idx_artifacts_cp_artifact_id ON artifacts (gateway_id, cp_artifact_id) WHERE cp_artifact_id IS NOT NULL;
CREATE INDEX idx_llm_proxies_provider ON llm_proxies (gateway_id, provider_uuid);
CREATE INDEX idx_subscriptions_plan ON subscriptions (gateway_id, subscription_plan_id);
CREATE INDEX idx_app_api_keys_apikey ON application_api_keys (gateway_id, api_key_id);
CREATE INDEX idx_apim_records_name ON apim_records (gateway_id, name, version);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('changes',1);
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
