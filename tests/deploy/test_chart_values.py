"""Values of the original's chart and of its documentation: what each renders, and what refuses them and why."""

import tomllib
from typing import Any

import pytest
from deploy_chart import CERT_MANAGER, Chart, Refused, case, nested

PAGE = [case("top-down"), case("bottom-up")]
GATEWAY = "gateway.controller"
POSTGRES = {"type": "postgres", "postgres": {"host": "db", "database": "gateway", "user": "gateway"}}
SHARED: dict[str, Any] = {
    "gateway": {
        "config": {"controller": {"storage": POSTGRES}},
        "controller": {"encryptionKeys": {"enabled": True, "secretName": "gateway-encryption-keys"}},
    }
}
KEYS = nested(f"{GATEWAY}.encryptionKeys", {"enabled": True, "secretName": "gateway-encryption-keys"})


def env(container: dict[str, Any]) -> dict[str, Any]:
    """Variables by name: the text, or where it comes from."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


@pytest.mark.conforms("OP-038", "OP-040", "OP-042")
def test_top_down_page(chart: Chart) -> None:
    for manifests in (chart.render(case("top-down")), chart.render(case("top-down"), KEYS)):
        assert 'host = "apim-wso2am.example.com:9443"' in manifests.config()
        assert 'gateway_name = "prod-gateway"' in manifests.config()
        assert "envFrom" not in manifests.container("controller")


@pytest.mark.conforms("OP-039")
def test_bottom_up_page(chart: Chart) -> None:
    for manifests in (chart.render(case("bottom-up")), chart.render(case("bottom-up"), KEYS)):
        secret = {"secretRef": {"name": "apim-oauth-client-secret-secret"}}
        assert manifests.container("controller")["envFrom"] == [secret]


@pytest.mark.conforms("OP-041")
def test_token(chart: Chart) -> None:
    names = ("APIP_GW_CONTROLLER_CONTROLPLANE_TOKEN", "APIP_GW_GATEWAY_REGISTRATION_TOKEN")
    manifests = chart.render(case("top-down"))
    reference = {"secretKeyRef": {"name": "gateway-cp-token", "key": "token"}}
    assert [env(manifests.container("controller"))[name] for name in names] == [reference, reference]
    literal = chart.render(case("top-down"), sets=(f"{GATEWAY}.controlPlane.token.secretName=", *_token("s3cret")))
    assert [env(literal.container("controller"))[name] for name in names] == ["s3cret", "s3cret"]
    for text in (literal.config(), literal.config("router.toml")):
        assert "s3cret" not in text
        assert "gateway-cp-token" not in text


def test_without_a_token_in_the_values_one_from_a_secret_is_not_hidden(chart: Chart) -> None:
    container = chart.render(case("bottom-up"), sets=(f"{GATEWAY}.controlPlane.token.secretName=",))
    assert set(env(container.container("controller"))) == {"GATEWAY_CONTROLLER_HOST"}


@pytest.mark.conforms("OP-043")
@pytest.mark.parametrize(
    ("host", "expected"),
    [("apim.example.com", "apim.example.com:8443"), ("apim.example.com:9443", "apim.example.com:9443")],
)
def test_port_of_old_values(chart: Chart, host: str, expected: str) -> None:
    sets = (f"{GATEWAY}.controlPlane.host={host}", f"{GATEWAY}.controlPlane.port=8443")
    assert f'host = "{expected}"' in chart.render(sets=sets).config()


@pytest.mark.conforms("OP-044")
def test_encryption_keys(chart: Chart) -> None:
    """With SQLite the controller makes a key beside its database; controllers that share one must be given it."""
    assert "generate_encryption_keys = true" in chart.render().config()
    given = chart.render(KEYS)
    assert "generate_encryption_keys" not in given.config()
    mounts = {mount["mountPath"] for mount in given.container("controller")["volumeMounts"]}
    assert "/app/data/aesgcm-keys" in mounts
    with pytest.raises(Refused, match=r"must share its encryption keys too[^*]*openssl rand 32"):
        chart.render(nested("gateway.config.controller.storage", POSTGRES))
    with pytest.raises(Refused, match=r"encryptionKeys\.secretName: is required"):
        chart.render(sets=(f"{GATEWAY}.encryptionKeys.enabled=true",))


@pytest.mark.conforms("OP-045")
def test_postgres(chart: Chart) -> None:
    storage: dict[str, Any] = {"type": "postgres"}
    with pytest.raises(Refused, match=r"gateway\.config\.controller\.storage\.postgres\.host: is required"):
        chart.render(KEYS, nested("gateway.config.controller.storage", storage))
    secret = {"passwordSecretRef": {"name": "db"}}
    secretive = nested("gateway.config.controller.storage", {"postgres": {"password": "in-clear"}})
    manifests = chart.render(SHARED, secretive, nested(f"{GATEWAY}.postgres", secret))
    assert r'password = "{{ env \"APIP_GW_CONTROLLER_STORAGE_POSTGRES_PASSWORD\" \"\" }}"' in manifests.config()
    assert "in-clear" not in manifests.text
    reference = {"secretKeyRef": {"name": "db", "key": "password"}}
    assert env(manifests.container("controller"))["APIP_GW_CONTROLLER_STORAGE_POSTGRES_PASSWORD"] == reference
    dsn = {"type": "postgres", "postgres": {"dsn": "postgres://gateway@db/gateway"}}
    assert (
        'dsn = "postgres://gateway@db/gateway"'
        in chart.render(KEYS, nested("gateway.config.controller.storage", dsn)).config()
    )


@pytest.mark.conforms("OP-046")
def test_several_controllers_need_a_shared_database(chart: Chart) -> None:
    for item in ("hpa.enabled=true", "deployment.replicaCount=2"):
        with pytest.raises(Refused, match=r"storage\.type to postgres"):
            chart.render(sets=(f"{GATEWAY}.{item}",))
    scaled = chart.render(SHARED, sets=(f"{GATEWAY}.hpa.enabled=true",))
    assert "replicas" not in scaled.get("Deployment", "-controller")["spec"]
    assert scaled.get("HorizontalPodAutoscaler", "-controller")["spec"]["maxReplicas"] == 3


@pytest.mark.conforms("OP-047")
@pytest.mark.parametrize("part", ["controller", "gatewayRuntime"])
def test_disruption_budget(chart: Chart, part: str) -> None:
    on = (f"gateway.{part}.podDisruptionBudget.enabled=true",)
    name = "-controller" if part == "controller" else "-gateway-runtime"
    budget = chart.render(sets=on).get("PodDisruptionBudget", name)
    assert (budget["apiVersion"], budget["spec"]["minAvailable"]) == ("policy/v1", 1)
    other = (f"gateway.{part}.podDisruptionBudget.maxUnavailable=30%",)
    with pytest.raises(Refused, match="minAvailable and maxUnavailable are both set"):
        chart.render(sets=on + other)
    neither = (f"gateway.{part}.podDisruptionBudget.minAvailable=",)
    spec = chart.render(sets=on + other + neither).get("PodDisruptionBudget", name)["spec"]
    assert (spec["maxUnavailable"], "minAvailable" in spec) == ("30%", False)
    with pytest.raises(Refused, match="set minAvailable or maxUnavailable"):
        chart.render(sets=on + neither)


@pytest.mark.conforms("OP-048")
def test_volume(chart: Chart) -> None:
    claim = "PersistentVolumeClaim/ap-gateway-controller-data"
    assert claim in chart.render().kinds()
    for manifests in (
        chart.render(sets=(f"{GATEWAY}.persistence.enabled=false",)),
        chart.render(sets=(f"{GATEWAY}.persistence.existingClaim=mine",)),
        chart.render(SHARED),
    ):
        assert claim not in manifests.kinds()
    mine = chart.render(sets=(f"{GATEWAY}.persistence.existingClaim=mine",)).pod("controller")["volumes"][0]
    assert mine == {"name": "controller-data", "persistentVolumeClaim": {"claimName": "mine"}}


@pytest.mark.conforms("OP-049")
def test_listener_certificate(chart: Chart) -> None:
    """By cert-manager where it is installed, else the controller makes what cert-manager would: a self-signed one."""
    issuer, certificate = "Issuer/ap-gateway-selfsigned-issuer", "Certificate/ap-gateway-controller-tls"
    there = chart.render(apis=(CERT_MANAGER,))
    assert {issuer, certificate} <= set(there.kinds())
    assert _mounted(there)["secretName"] == "ap-gateway-controller-tls"
    absent = chart.render()
    assert not {issuer, certificate} & set(absent.kinds())
    assert "listener-certs" not in absent.text
    named = ("issuerRef.name=letsencrypt-prod", "issuerRef.kind=ClusterIssuer", "createIssuer=false")
    asked = chart.render(sets=tuple(f"{GATEWAY}.tls.certManager.{item}" for item in named))
    assert certificate in asked.kinds()
    assert issuer not in asked.kinds()
    assert asked.get("Certificate", "-tls")["spec"]["issuerRef"]["name"] == "letsencrypt-prod"
    secret = chart.render(sets=(f"{GATEWAY}.tls.certificateProvider=secret",), apis=(CERT_MANAGER,))
    assert _mounted(secret) == {
        "secretName": "gateway-tls",
        "items": [
            {"key": "tls.crt", "path": "default-listener.crt"},
            {"key": "tls.key", "path": "default-listener.key"},
        ],
    }
    assert certificate not in secret.kinds()
    assert "listener-certs" not in chart.render(sets=(f"{GATEWAY}.tls.certificateProvider=none",)).text


@pytest.mark.conforms("OP-050")
def test_a_change_of_the_configuration_rolls_the_deployments_that_read_it(chart: Chart) -> None:
    def sums(*sets: str) -> list[str]:
        found = [item for item in chart.render(sets=sets).all if item["kind"] == "Deployment"]
        return [item["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for item in found]

    before, after = sums(), sums("gateway.config.router.upstream.timeouts.route_timeout_ms=100")
    assert len(before) == 2
    assert not set(before) & set(after)
    after = sums("gateway.config.controller.controlplane.polling_interval=5m")
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True], "routers do not read it"
    assert before == sums("gateway.controller.deployment.podAnnotations.checksum/config=mine")


@pytest.mark.conforms("OP-051")
def test_probes_of_the_router_follow_its_listeners(chart: Chart) -> None:
    def probed(*sets: str) -> set[tuple[str, str, int]]:
        container = chart.render(sets=sets).container("gateway-runtime")
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        probes = (container[f"{name}Probe"]["httpGet"] for name in ("liveness", "readiness", "startup"))
        return {(probe["path"], probe["scheme"], ports[probe["port"]]) for probe in probes}

    healthy, ready = "/_gateway-health/healthy", "/_gateway-health/ready"
    assert probed() == {(healthy, "HTTPS", 8443), (ready, "HTTPS", 8443)}
    assert probed("gateway.config.router.https_port=9443") == {(healthy, "HTTPS", 9443), (ready, "HTTPS", 9443)}
    plain = ("gateway.config.router.https_enabled=false", "gateway.config.router.listener_port=8000")
    assert probed(*plain) == {(healthy, "HTTP", 8000), (ready, "HTTP", 8000)}


@pytest.mark.conforms("OP-052")
def test_the_admin_port_stays_out_of_the_service(chart: Chart) -> None:
    def ports(*sets: str) -> dict[str, int]:
        return {
            port["name"]: port["port"]
            for port in chart.render(sets=sets).get("Service", "-controller")["spec"]["ports"]
        }

    assert ports() == {"rest": 9090, "xds": 18000}
    assert ports(f"{GATEWAY}.service.expose.admin=true")["admin"] == 9092
    container = chart.render().container("controller")
    assert container["readinessProbe"]["httpGet"]["port"] == "admin"
    assert {"name": "admin", "containerPort": 9092, "protocol": "TCP"} in container["ports"]


@pytest.mark.conforms("OP-053")
def test_credentials_of_the_traffic_log_come_from_the_environment(chart: Chart) -> None:
    def logging(token: str, **more: object) -> dict[str, Any]:
        auth = {"type": "bearer", "bearer": {"token": token}, **more}
        return nested("gateway.config.traffic_logging", {"http": {"auth": auth}})

    with pytest.raises(Refused, match=r"traffic_logging\.http\.auth\.bearer\.token: would be readable"):
        chart.render(logging("abc"))
    assert "abc" in chart.render(logging("abc", allow_plaintext_credentials=True)).config()
    assert "TOKEN" in chart.render(logging('{{ env "TOKEN" }}')).config()


@pytest.mark.conforms("OP-054")
def test_traffic_log_into_a_file(chart: Chart) -> None:
    def logging(path: str) -> dict[str, Any]:
        settings = {"enabled": True, "outputs": ["file"], "file": {"path": path}}
        return nested("gateway.config.traffic_logging", settings)

    pod = chart.render(logging("/var/log/wso2/traffic.log")).pod("gateway-runtime")
    assert {"name": "traffic-log", "emptyDir": {"sizeLimit": "512Mi"}} in pod["volumes"]
    for path in ("/tmp/traffic.log", "/var/log/wso2/../traffic.log", "/var/log/wso2x/traffic.log"):
        with pytest.raises(Refused, match="is not below /var/log/wso2"):
            chart.render(logging(path))
    assert "traffic-log" not in chart.render().text


SNIPPETS = {
    "development mode": nested("gateway.developmentMode", value=False),
    "keys": {
        "gateway": {
            "controller": {
                "encryptionKeys": {
                    "enabled": True,
                    "secretName": "gateway-encryption-keys",
                    "mountPath": "/app/data/aesgcm-keys",
                }
            },
            "config": {
                "controller": {
                    "encryption": {
                        "providers": [
                            {
                                "type": "aesgcm",
                                "keys": [
                                    {
                                        "version": "aesgcm256-v1",
                                        "file": "/app/data/aesgcm-keys/default-aesgcm256-v1.bin",
                                    }
                                ],
                            }
                        ]
                    }
                }
            },
        }
    },
    "issuer": nested(
        f"{GATEWAY}.tls.certManager",
        {
            "createIssuer": False,
            "issuerRef": {"name": "letsencrypt-prod", "kind": "ClusterIssuer"},
            "commonName": "gateway.example.com",
            "dnsNames": ["gateway.example.com"],
        },
    ),
    "upstream authority": nested(
        f"{GATEWAY}.upstreamCerts", {"enabled": True, "configMapName": "gateway-upstream-certs"}
    ),
    "identity provider": nested(
        "gateway.config.controller.auth",
        {
            "basic": {"enabled": False},
            "idp": {
                "enabled": True,
                "jwks_url": "https://idp/jwks",
                "issuer": "https://idp",
                "roles_claim": "scope",
                "role_mapping": {"admin": ["gateway:admin"]},
            },
        },
    ),
    "hashed password": nested(
        "gateway.config.controller.auth.basic.users",
        [{"username": "ops", "password": "$2y$10$abc", "password_hashed": True, "roles": ["admin"]}],
    ),
    "rate limits": nested(
        "gateway.config.policy_configurations.ratelimit_v1",
        {"algorithm": "fixed-window", "backend": "redis", "redis": {"host": "redis", "port": 6379}},
    ),
    "nulls": nested("gateway.config.controller.controlplane", {"gateway_name": None}),
}


@pytest.mark.conforms("OP-055")
@pytest.mark.parametrize("name", SNIPPETS)
def test_documented_snippets_render(name: str, chart: Chart) -> None:
    assert chart.render(case("bottom-up"), SNIPPETS[name]).kinds()


@pytest.mark.conforms("OP-055")
def test_raw_text_is_the_end_of_the_configuration(chart: Chart) -> None:
    text = "[tracing]\nenabled = true\n\n[mcp]\nappend_resource_path_to_backend = true\n"
    for key in ("config.toml", "router.toml"):
        assert chart.render(nested("gateway.config_toml", text)).config(key).endswith(f"\n{text}")


@pytest.mark.conforms("OP-056")
def test_the_subscription_only_adds_a_pull_secret(chart: Chart) -> None:
    manifests = chart.render(sets=("wso2.subscription.imagePullSecret=wso2-subscription-creds",))
    for component, image in (("controller", "gatewright/controller:"), ("gateway-runtime", "gatewright/router:")):
        assert manifests.pod(component)["imagePullSecrets"] == [{"name": "wso2-subscription-creds"}]
        assert manifests.container(component)["image"].startswith(image)
    with pytest.raises(Refused, match="is an image of the original"):
        chart.render(sets=(f"{GATEWAY}.image.repository=ghcr.io/wso2/api-platform/gateway-controller",))


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (f"{GATEWAY}.controlplane.host=a", "meant is gateway.controller.controlPlane"),
        ("gateway.config.controller.controlPlane.gateway_name=a", "meant is gateway.config.controller.controlplane"),
        ("controller.controlPlane.host=a", "belongs below gateway, as gateway.controller"),
        (f"{GATEWAY}.controlPlane.host=https://apim:9443", "write only host or host:port"),
        (f"{GATEWAY}.controlPlane.host=apim/path", "is not host or host:port"),
        (f"{GATEWAY}.controlPlane.token.secretName=a", "is set without gateway.controller.controlPlane.host"),
        ("gateway.config.controller.controlplane.token=a", "would be readable in a ConfigMap"),
        (
            "gateway.config.controller.controlplane.host=a",
            "the host is taken from gateway.controller.controlPlane.host",
        ),
        ("gateway.config.controller.storage.type=sqlserver", "sqlserver is not supported; use sqlite or postgres"),
        ("gateway.config.controller.storage.sqlserver.host=a", "use storage.type postgres"),
        (f"{GATEWAY}.tls.certificateProvider=acme", "use cert-manager, secret, or none"),
        (f"{GATEWAY}.deployment.replicaCount=two", "got string, want integer"),
        (f"{GATEWAY}.service.type=Cluster", "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"),
        (f"{GATEWAY}.controlPlane.token=null", "at '/gateway/controller/controlPlane': missing property 'token'"),
        (f"{GATEWAY}.deployment.env=null", "at '/gateway/controller/deployment': missing property 'env'"),
        ("gateway.config.controller.server=null", "at '/gateway/config/controller/server': got null, want object"),
        ("gateway.allInOne.enabled=true,gateway.gatewayRuntime.hpa.enabled=true", "cannot be scaled alone"),
    ],
)
def test_mistakes_are_explained(sets: str, expected: str, chart: Chart) -> None:
    with pytest.raises(Refused) as refused:
        chart.render(sets=(sets,))
    assert expected in str(refused.value)


def test_all_mistakes_are_told_at_once(chart: Chart) -> None:
    with pytest.raises(Refused) as refused:
        chart.render(sets=("gateway.runtime.x=1", f"{GATEWAY}.controlPlane.host=a b", f"{GATEWAY}.hpa.enabled=true"))
    assert str(refused.value).count("\n  * ") == 3


def test_unknown_values_pass(chart: Chart) -> None:
    """The original has no schema: values that mean nothing must not keep anybody from installing."""
    values = nested(GATEWAY, {"storage": {"type": "sqlite", "sqlitePath": "/x"}, "logging": {"level": "debug"}, "x": 1})
    assert chart.render(values).text == chart.render().text


def test_text_survives_the_way_through_toml(chart: Chart) -> None:
    """Quotes, line ends, characters outside ASCII, numbers of every size, empty lists."""
    tree = {
        "text": 'a "quoted" \\ line\nand é <&>',
        "large": 1000000000,
        "part": 0.25,
        "none": [],
        "deep": {"a b": [1]},
    }
    config = chart.render(nested("gateway.config.policy_configurations.x", tree)).config()
    assert tomllib.loads(config)["policy_configurations"]["x"] == tree


def test_all_in_one_keeps_configuration_for_routers_inside_the_pod(chart: Chart) -> None:
    manifests = chart.render(case("all-in-one"))
    assert [item["metadata"]["name"] for item in manifests.all if item["kind"] == "Deployment"] == [
        "ap-gateway-controller"
    ]
    router = manifests.container("controller", 1)
    assert env(router)["GATEWAY_CONTROLLER_HOST"] == "127.0.0.1"
    assert 'xds = "127.0.0.1"' in manifests.config()
    selected = manifests.get("Service", "-gateway-runtime")["spec"]["selector"]
    labels = manifests.get("Deployment", "-controller")["spec"]["template"]["metadata"]["labels"]
    assert selected.items() <= labels.items()


def test_routers_do_not_get_what_is_the_controllers(chart: Chart) -> None:
    values = nested("gateway.config.controller.auth.basic.users", [{"username": "a", "password": "clear"}])
    router = chart.render(case("bottom-up"), values).config("router.toml")
    assert "clear" not in router
    assert "controlplane" not in router


def _token(value: str) -> tuple[str, ...]:
    return (f"{GATEWAY}.controlPlane.token.value={value}",)


def _mounted(manifests: Any) -> dict[str, Any]:
    volumes = {volume["name"]: volume for volume in manifests.pod("controller")["volumes"]}
    secret: dict[str, Any] = volumes["listener-certs"]["secret"]
    return secret


def test_mutual_tls_between_controllers_and_routers(chart: Chart) -> None:
    on = ("gateway.xdsTls.enabled=true",)
    made = chart.render(sets=on)
    assert made.get("Certificate", "-xds-controller")["spec"]["dnsNames"][0] == "ap-gateway-controller"
    assert 'client_ca_file = "/etc/gateway-controller/xds-tls/ca.crt"' in made.config()
    assert 'ca_path = "/etc/policy-engine/xds-tls/ca.crt"' in made.config("router.toml")
    names = ("gateway.xdsTls.certManager=false", "gateway.xdsTls.controllerSecretName=c")
    with pytest.raises(Refused, match="controllerSecretName and routerSecretName are required"):
        chart.render(sets=on + names)
    given = chart.render(sets=(*on, *names, "gateway.xdsTls.routerSecretName=r"))
    assert not [item for item in given.kinds() if item.startswith("Certificate/") and "xds" in item]
    secrets = [volume.get("secret", {}).get("secretName") for volume in given.pod("gateway-runtime")["volumes"]]
    assert "r" in secrets
    assert "xds-tls" not in chart.render(case("all-in-one"), sets=on).text
