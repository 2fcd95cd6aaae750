"""Runs a scripted sequence of writes again and again, each time killed at the next statement or commit.

Not a test: `test_crash.py` starts it and judges its report, one JSON object per line. It forks, so that the imports
are paid once; the killing is done by listeners on SQLAlchemy's events, the product knows nothing of it.
"""

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import alembic.command  # noqa: F401 - paid before the first fork
from pydantic import SecretStr
from sqlalchemy import Engine, event

from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.deployment import Caller, Deployments, KeyEvent, KeyRequest, key_material
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.serving import ServingBoard
from gatewright.model.gateway import Gateway, Listener
from gatewright.observability.logging import configure_logging
from gatewright.store import open_store

KIND = "RestApi"
START = datetime(2026, 8, 1, tzinfo=UTC)
EVENTS = ("before_cursor_execute", "commit")
"""Before each statement, BEGIN included, and before each commit; what follows a commit comes before the next BEGIN."""
TABLES = ("artifacts", "rest_apis", "api_keys", "changes", "outbox", "meta")
UNSTABLE = {"api_keys": {"uuid"}, "changes": {"entity_id"}}
"""Columns that hold random ids."""


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


def rest_api(handle, context, pin=None):
    annotations = {"gateway.api-platform.wso2.com/artifact-id": pin} if pin else {}
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": KIND,
        "metadata": {"name": handle, "annotations": annotations},
        "spec": {
            "displayName": handle,
            "version": "v1",
            "context": context,
            "upstream": {"main": {"url": "http://127.0.0.1:1"}},
            "operations": [{"method": "GET", "path": "/*"}],
        },
    }


def sequence(deployments, store):
    """The writes, one after another. Each is a coroutine function."""
    pin = "00000000-0000-7000-8000-000000000001"
    caller = Caller("alice")

    def value(text):
        return KeyRequest(name="till", plain_key=SecretStr(text))

    def event_of(text, seconds):
        hashed = key_material.hash_of(text)
        return KeyEvent(cp_api_id="cp-1", name="cp-key", key_hash=hashed, updated_at=START + timedelta(seconds=seconds))

    async def pushed():
        (row,) = await deployments.outbox_due("control_plane", START + timedelta(days=1))
        await deployments.mark_pushed(row.entity_id, "success", "cp-of-orders", "")

    async def done():
        for row in await deployments.outbox_due("control_plane", START + timedelta(days=1)):
            await deployments.outbox_done(row.id)

    def deploy(context, minutes):
        at = START + timedelta(minutes=minutes)
        return deployments.apply_deploy(
            "cp-1", rest_api("bills", context), deployment_id=f"d{minutes}", performed_at=at, correlation_id="c"
        )

    common = {"correlation_id": "c"}
    local = {"correlation_id": "c", "actor": "admin"}
    return [
        lambda: deployments.create(KIND, rest_api("orders", "/orders", pin), **local),
        lambda: deployments.create_key(KIND, "orders", value("one"), caller=caller, **common),
        lambda: deployments.update(KIND, "orders", rest_api("orders", "/orders2"), **local),
        pushed,
        done,
        lambda: deploy("/bills", 1),
        lambda: deployments.apply_key(event_of("k1", 1), **common),
        lambda: deployments.apply_key(event_of("k2", 2), update=True, **common),
        lambda: deploy("/bills2", 2),
        lambda: deployments.update_key(KIND, "orders", "till", value("two"), caller=caller, **common),
        lambda: deployments.apply_undeploy(
            "cp-1", deployment_id="d2", performed_at=START + timedelta(minutes=3), **common
        ),
        lambda: deployments.revoke_key(KIND, "orders", "till", caller=caller, **common),
        lambda: deployments.delete(KIND, "orders", **local),
        lambda: deployments.apply_delete("cp-1", **common),
        lambda: store.set_meta("users", {"admin": "hash"}),
    ]


async def opened(path):
    store = await open_store(path)
    rules = RestApiRules(
        catalogue=PolicyCatalogue(),
        defaults=VhostDefaults(),
        renderer=Renderer(lambda _handle: None),
        gateway=Gateway(listeners=(Listener("http", "127.0.0.1", 1),)),
    )
    return store, Deployments(store, [rules], board=ServingBoard(), pushes=True, clock=Clock())


async def run(path, acknowledge):
    """The whole sequence; `acknowledge` is told after each write."""
    store, deployments = await opened(path)
    acknowledge(0)
    for number, write in enumerate(sequence(deployments, store), 1):
        await write()
        acknowledge(number)
    await store.close()


async def run_together(path, acknowledge):
    """Many writes at once, so that commits are shared."""
    store, deployments = await opened(path)

    async def one(number):
        document = rest_api(f"api-{number}", f"/api-{number}")
        await deployments.create(KIND, document, correlation_id="c", actor="admin")
        acknowledge(number)

    await asyncio.gather(*[one(number) for number in range(24)])
    await store.close()


async def dump(path):
    """All that is in the database, and whether it is sound."""
    store = await open_store(path)

    def everything(connection):
        found = {
            "sound": connection.exec_driver_sql("PRAGMA integrity_check").scalar(),
            "strays": [list(row) for row in connection.exec_driver_sql("PRAGMA foreign_key_check")],
        }
        for table in TABLES:
            rows = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2").mappings()
            skip = UNSTABLE.get(table, set())
            found[table] = [{key: row[key] for key in row if key not in skip} for row in rows]
        return found

    result = await store.read(everything)
    await store.close()
    return result


def kill_at(point):
    """Die at the `point`-th event of the engine; with -1 only count. Returns the counter."""
    seen = [0]

    def listener(*_args):
        seen[0] += 1
        if seen[0] == point:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in EVENTS:
        event.listen(Engine, name, listener)
    return seen


def forked(work):
    """Run `work(write)` in a child; (what it wrote, line by line, and its exit status)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            work(lambda value: os.write(writing, f"{json.dumps(value)}\n".encode()))
        except BaseException as problem:  # noqa: BLE001 - reported to the parent
            os.write(writing, f"{json.dumps({'error': repr(problem)})}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        values = [json.loads(line) for line in lines]
    _, status = os.waitpid(child, 0)
    return values, os.waitstatus_to_exitcode(status)


def state_after(path, count):
    """The reference: the state after the first `count` writes, without a crash."""

    async def partly():
        store, deployments = await opened(path)
        for write in sequence(deployments, store)[:count]:
            await write()
        await store.close()

    forked(lambda _write: asyncio.run(partly()))
    return forked(lambda write: write(asyncio.run(dump(path))))[0][0]


def main():
    folder = Path(sys.argv[1])
    configure_logging("crash-runs", level="error")
    scenario = {"one": run, "together": run_together}[sys.argv[2]]
    step = int(sys.argv[3])
    total = forked(lambda write: _counted(folder / "count.db", scenario, write))[0][-1]
    if sys.argv[2] == "one":
        for count in range(16):
            print(json.dumps({"reference": count, "state": state_after(folder / f"reference-{count}.db", count)}))
    for point in range(1, total + 1, step):
        path = folder / f"crash-{point}.db"

        def crashing(write, path=path, point=point):
            kill_at(point)
            asyncio.run(scenario(path, write))

        acknowledged, status = forked(crashing)
        state, dumped = forked(lambda write, path=path: write(asyncio.run(dump(path))))
        print(
            json.dumps(
                {"point": point, "status": status, "acknowledged": acknowledged, "state": state[0], "dumped": dumped}
            )
        )


def _counted(path, scenario, write):
    seen = kill_at(-1)
    asyncio.run(scenario(path, lambda _number: None))
    write(seen[0])


if __name__ == "__main__":
    main()
