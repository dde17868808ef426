#!/bin/sh
# Puts the engine of another Debian release into a folder, beside the installed one: newer.sh SUITE FOLDER
#
# Nothing is installed: the packages are fetched from the archive that this machine uses and taken apart. The newer
# engine runs with the runc that is installed, for its own wants a newer libc.
set -eu
suite=$1
mkdir -p "$(dirname "$2")"
folder=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# the archive of packages, not that of security updates, which has other releases
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts"
: >"$work/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" >"$work/sources.list"
apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$work" \
        -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none -o Debug::NoLocking=1 "$@"
}
cd "$work"
apt update
apt download docker.io containerd
for package in *.deb; do
    dpkg-deb --extract "$package" parts
done
rm -rf "$folder.part"
mkdir -p "$folder.part"
for program in dockerd containerd containerd-shim-runc-v2 docker-proxy; do
    cp "$(find parts -type f -name "$program" -perm -100 | head -n 1)" "$folder.part/"
done
"$folder.part/dockerd" --version >&2
rm -rf "$folder"
mv "$folder.part" "$folder"
