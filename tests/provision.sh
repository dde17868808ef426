#!/bin/sh
# Installs the Debian packages of the servers that tests run: sh tests/provision.sh
#
# Nothing is started: the tests start servers themselves, on ports and in folders of their own. Where the packages
# cannot be had (another system, no root and no sudo, no network) one line says so, and the tests that need them skip
# with their reason; with CI=true they fail.
set -eu

PACKAGES="prometheus prometheus-alertmanager prometheus-node-exporter prometheus-postgres-exporter
prometheus-redis-exporter prometheus-blackbox-exporter rabbitmq-server redis-server postgresql-15 nginx-light
busybox docker.io iproute2 iptables graphviz openssh-server openssl"

missing=
for package in $PACKAGES; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done

# The engine of the next release, for what its API says otherwise.
newer() {
    folder=$(dirname "$0")/../build/lab/engine-trixie
    [ -d "$folder" ] || sh "$(dirname "$0")/lab/newer.sh" trixie "$folder" ||
        echo "tests with a newer engine are skipped: its packages cannot be fetched" >&2
}
[ -n "$missing" ] || { newer; exit 0; }

without() {
    echo "tests that need$missing are skipped: $1" >&2
    exit 0
}

command -v apt-get >/dev/null || without "no apt-get here"
root=
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || without "neither root nor sudo without a password"
    root="sudo -n"
fi

# Debian starts what it installs unless this file says no.
started=/usr/sbin/policy-rc.d
log=$(mktemp)
added=
trap 'rm -f "$log"; [ -z "$added" ] || $root rm -f "$started"' EXIT
if [ ! -e "$started" ]; then
    printf '#!/bin/sh\nexit 101\n' | $root tee "$started" >/dev/null
    $root chmod 755 "$started"
    added=yes
fi

echo "installing$missing" >&2
install() {
    # shellcheck disable=SC2086  # a list of packages
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends $missing >"$log" 2>&1 </dev/null
}
install || { $root apt-get -qq update >"$log" 2>&1 && install; } || { tail -n 5 "$log" >&2; without "apt-get failed"; }
newer
