#!/usr/bin/env bash
# Builds what the tests of the chart on a real Kubernetes need, from the Go module proxy into a cache folder of the user:
# etcd, the servers of a cluster of one node, a DNS server, and kubectl. Takes about a quarter of an hour on two cores, so
# that nothing else calls it. containerd and the CNI plug-ins are taken from Debian packages, which are not installed.
#
# usage: scripts/install-kubernetes-tools.sh [VERSION]
set -euo pipefail
# 1.34 is the last release whose kubelet starts on a machine with cgroup v1 without being told to.
version="${1:-1.34.4}"
target="${XDG_CACHE_HOME:-$HOME/.cache}/gatewright/kubernetes"
programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

# A DNS server with the few plug-ins that a cluster needs.
build_dns() {
    mkdir -p "$work/dns"
    cat >"$work/dns/main.go" <<'GO'
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func init() { dnsserver.Directives = []string{"bind", "errors", "hosts", "kubernetes"} }

func main() { coremain.Run() }
GO
    (
        cd "$work/dns"
        go mod init dns 2>/dev/null
        go get github.com/coredns/coredns@v1.12.4 2>/dev/null
        CGO_ENABLED=0 nice -n 10 go build -mod=mod -p 2 -trimpath -ldflags "-s -w" -o "$target/coredns" .
    )
}

# What holds the namespaces of a Pod: waits for a signal and reaps.
build_pause() {
    mkdir -p "$work/pause"
    cat >"$work/pause/main.go" <<'GO'
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 {
				break
			}
		}
	}
}
GO
    (cd "$work/pause" && go mod init pause 2>/dev/null && CGO_ENABLED=0 go build -trimpath -o "$target/pause" .)
}

if ! command -v go >/dev/null; then
    echo "Go is missing; it builds Kubernetes" >&2
    exit 1
fi
if [ "$(cat "$target/VERSION" 2>/dev/null)" != "$version" ]; then
    echo "Building Kubernetes $version into $target"
    mkdir -p "$target"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    go mod init kubernetes-tools 2>/dev/null
    # The parts of Kubernetes are modules of their own, which its go.mod takes from its own tree: name their releases.
    go mod download "k8s.io/kubernetes@v$version"
    sed -n "s|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/.*|replace \1 => \1 v0.${version#1.}|p" \
        "$(go env GOMODCACHE)/cache/download/k8s.io/kubernetes/@v/v$version.mod" >>go.mod
    packages=()
    {
        echo 'package tools'
        for program in "${programs[@]}"; do
            echo "import _ \"k8s.io/kubernetes/cmd/$program\""
            packages+=("k8s.io/kubernetes/cmd/$program")
        done
    } >tools.go
    go get "k8s.io/kubernetes@v$version" 2>/dev/null
    minor=${version#1.}
    flags="-s -w"
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    done
    CGO_ENABLED=0 nice -n 10 go build -mod=mod -p 2 -trimpath -ldflags "$flags" -o "$target/" "${packages[@]}"
    CGO_ENABLED=0 nice -n 10 go build -mod=mod -p 2 -trimpath -ldflags "-s -w" -o "$target/etcd" go.etcd.io/etcd/server/v3
    build_dns
    build_pause
    echo "$version" >"$target/VERSION"
fi

# Containers and their network: from the packages of the system, without installing them.
if [ ! -x "$target/containerd" ] || [ ! -x "$target/cni/ptp" ]; then
    if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
        echo "Fetching containerd and the CNI plug-ins"
        packages=$(mktemp -d)
        (cd "$packages" && apt-get download -qq containerd containernetworking-plugins 2>/dev/null)
        for package in "$packages"/*.deb; do dpkg-deb -x "$package" "$packages/root"; done
        install -m 755 "$packages"/root/usr/bin/* "$target/"
        mkdir -p "$target/cni"
        install -m 755 "$packages"/root/usr/lib/cni/* "$target/cni/"
        rm -rf "$packages"
    else
        echo "No Debian packages here: put containerd, its shim, ctr and cni/ with the CNI plug-ins into $target" >&2
    fi
fi
command -v runc >/dev/null && command -v iptables >/dev/null \
    || echo "runc or iptables is missing: no Pods can be run; scripts/install-tools.sh installs runc" >&2
