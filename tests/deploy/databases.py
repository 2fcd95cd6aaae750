"""The images of PostgreSQL and Redis that the compose file names, made of Debian packages: no registry is asked.

They take the variables, the command and the volume of the official ones, as far as the compose file uses them.
"""

import subprocess
import tempfile
from pathlib import Path

import deploy_images as images

NAME = "localhost/gatewright-test-databases:bookworm"
POSTGRES, REDIS = "docker.io/library/postgres:17-alpine", "docker.io/library/redis:7-alpine"
_CONTAINERFILE = f"""
FROM {images.BASE}
ENV DEBIAN_FRONTEND=noninteractive
RUN mkdir -p /etc/postgresql-common \\
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \\
    && printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \\
    && apt-get update -qq \\
    && apt-get install -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold postgresql redis-server \\
    && rm -rf /var/lib/apt/lists /var/cache/apt/archives /usr/share/doc /usr/share/locale
COPY start.sh /start.sh
"""
_START = """#!/bin/sh
# What the official image of PostgreSQL does: a cluster with this user and database, then the server.
set -eu
[ "${1:-}" != redis-server ] || exec "$@"
data=/var/lib/postgresql/data
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
chown postgres:postgres "$data"
if [ ! -s "$data/PG_VERSION" ]; then
    (umask 077 && printf %s "$POSTGRES_PASSWORD" > /tmp/password && chown postgres /tmp/password)
    as initdb -D "$data" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 >&2
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
    echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | as postgres --single -D "$data" postgres >&2
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D "$data" -c listen_addresses='*'
"""


def build() -> str:
    """The name of one image with both; layers are kept between runs."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Containerfile").write_text(_CONTAINERFILE)
        start = Path(folder) / "start.sh"
        start.write_text(_START)
        start.chmod(0o755)
        command = ("buildah", "build", "--isolation", "chroot", "--layers", "--format", "docker", "--tag", NAME, folder)
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise images.NotBuilt(f"{NAME}: {done.stderr[-2000:]}")
    return NAME


ENTRY = f'FROM {NAME}\nENTRYPOINT ["/start.sh"]\n'
"""A Containerfile for either name."""
