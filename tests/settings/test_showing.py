"""What the configuration commands print."""

from pathlib import Path

from gatewright.settings import check, load, show

TOML = """
[controller.controlplane]
host = "h"
token = "registration-token-value"
[controller.admin_server]
allowed_ips = ["1.1.1.1", "2.2.2.2"]
[[controller.auth.basic.users]]
username = "alice"
password = "wonderland-42"
[policy_configurations.ratelimit_v1]
backend = "redis"
[policy_configurations.ratelimit_v1.redis]
host = '{{ env "REDIS_HOST" }}'
password = "redis-password"
port = 6379
"""


def test_rows_have_key_value_and_source_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(TOML, encoding="utf-8")
    loaded = load([path], {"REDIS_HOST": "redis-of-the-vault", "APIP_GW_ROUTER_LISTENER_PORT": "8081"})
    rows = {row.key: (row.value, row.source) for row in show(loaded)}
    assert rows["controller.controlplane.host"] == ("h", str(path))
    assert rows["controller.controlplane.token"] == ("**********", str(path))
    assert rows["controller.controlplane.apim_oauth2_password"] == ("", "default")
    assert rows["controller.auth.basic.users[0].username"] == ("alice", str(path))
    assert rows["controller.auth.basic.users[0].password"] == ("**********", str(path))
    assert rows["controller.auth.basic.users[0].password_hashed"] == ("false", "default")
    assert rows["controller.admin_server.allowed_ips"] == ("1.1.1.1, 2.2.2.2", str(path))
    assert rows["controller.server.shutdown_timeout"] == ("15s", "default")
    assert rows["router.listener_port"] == ("8081", "APIP_GW_ROUTER_LISTENER_PORT")
    policies = "policy_configurations.ratelimit_v1"
    assert rows[f"{policies}.backend"] == ("redis", str(path))
    assert rows[f"{policies}.redis.port"] == ("6379", str(path))
    assert rows[f"{policies}.redis.password"][0] == "**********"
    assert rows[f"{policies}.redis.host"] == ("**********", f"{path} (REDIS_HOST)")
    assert rows["policy_configurations.llm_cost_v1.pricing_file"][1] == "default"
    everything = repr(rows)
    for secret in ("registration-token-value", "wonderland-42", "redis-password", "redis-of-the-vault"):
        assert secret not in everything
    assert set(rows) == set(loaded.sources)


def test_check_reports_problems_and_warnings_together(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[router]\nlistener_prt = 1\nlistener_port = 0\n[controller.controlplane]\ntoken = "t"')
    report = check([path], {})
    assert not report.ok
    assert [problem.key for problem in report.problems] == ["router.listener_port", "controller.controlplane.host"]
    assert 'did you mean "router.listener_port"?' in report.warnings[0]
    assert check([], {}).ok


def test_a_problem_says_where_what_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[router]\nlistener_port = 0")
    (problem,) = check([path], {}).problems
    assert str(problem) == (
        f"{path}: router.listener_port: router.listener_port must be between 1 and 65535, got: 0. "
        "Set router.listener_port in the configuration file, or in APIP_GW_ROUTER_LISTENER_PORT (allowed: 1 to 65535)"
    )
