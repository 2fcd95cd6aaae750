#!/usr/bin/env bash
# Installs what the tests of deploy/ run besides Python, as far as this machine allows: helm (with Go) into a cache
# folder of the user; buildah, podman and runc (as root on a Debian-like system). And the programs of a PostgreSQL
# server, for the tests of the store. What cannot be had is said, and the tests that need it are skipped.
set -uo pipefail
cache="${XDG_CACHE_HOME:-$HOME/.cache}/gatewright/bin"

if ! command -v helm >/dev/null && [ ! -x "$cache/helm" ]; then
    if command -v go >/dev/null; then
        echo "Installing helm into $cache (some minutes)"
        GOBIN="$cache" nice -n 5 go install helm.sh/helm/v3/cmd/helm@latest || echo "helm could not be installed" >&2
    else
        echo "helm is missing, and Go, which could install it: tests of the Helm chart are skipped" >&2
    fi
fi

if [ ! -e "$cache/../compose-spec.json" ] && command -v go >/dev/null; then
    echo "Fetching the schema of compose files"
    mkdir -p "$cache"
    work=$(mktemp -d)
    (cd "$work" && go mod init schema && go mod download github.com/compose-spec/compose-go/v2@latest \
        && find "$(go env GOMODCACHE)/github.com/compose-spec/compose-go" -name compose-spec.json \
            -exec install -m 644 {} "$cache/../compose-spec.json" \;) >/dev/null 2>&1 \
        || echo "the schema of compose files could not be fetched" >&2
    rm -rf "$work"
fi

if ! { command -v buildah && command -v podman && command -v runc && command -v debootstrap; } >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing buildah, podman, runc and debootstrap"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
            buildah podman runc debootstrap; } >/dev/null || echo "podman could not be installed" >&2
    else
        echo "buildah, podman, runc or debootstrap is missing: tests of the images are skipped" >&2
    fi
fi

if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && ! command -v postgres >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing PostgreSQL"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
            postgresql; } >/dev/null || echo "PostgreSQL could not be installed" >&2
    else
        echo "PostgreSQL is missing: tests of it are skipped" >&2
    fi
fi
exit 0
