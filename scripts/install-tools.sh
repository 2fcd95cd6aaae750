#!/usr/bin/env bash
# Installs what the tests of deploy/ run besides Python, as far as this machine allows: helm (with Go) into a cache
# folder of the user; buildah, podman and runc (as root on a Debian-like system); a Docker engine with its clients into
# the cache folder (as root on Debian). And the programs of a PostgreSQL server, for the tests of the store. What cannot be had is said, and the tests that need it are skipped.
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

# Unpacked, not installed: no service starts, and nothing takes the place of a Docker that is there. From Debian 13,
# whose programs run on 12 too; 12 itself has neither buildx nor the compose of today.
docker="$cache/../docker"
unpack_docker() {
    local mirror work
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' | grep -v security | head -1)
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$work/sources.list"
    local own=(-qq -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists"
        -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
    (cd "$work" && apt-get "${own[@]}" update \
        && apt-get "${own[@]}" download docker.io docker-cli docker-buildx docker-compose containerd tini \
        && for package in ./*.deb; do dpkg --extract "$package" root; done \
        && rm -rf "$docker" && mv root "$docker")
    local done=$?
    rm -rf "$work"
    return $done
}
if [ ! -x "$docker/usr/sbin/dockerd" ]; then
    if [ "$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release; then
        echo "Unpacking a Docker engine into $docker"
        unpack_docker >/dev/null || echo "a Docker engine could not be had" >&2
    else
        echo "this is no Debian, or not as root: tests with a Docker engine are skipped" >&2
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
