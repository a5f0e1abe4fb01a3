#!/usr/bin/env bash
# kustomize.sh DIRECTORY: puts Debian's kustomize there, which takes neither root nor a Debian that
# has it: release 13 is the first one, but the program needs no more than the C library of 12.
set -euo pipefail
target=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"

# shellcheck source=/dev/null
source /etc/os-release
# Whichever mirror this machine takes its packages from.
mirror=$(apt-get indextargets --no-release-info --format "\$(REPO_URI)" \
  "Created-By: Packages" "Release: $VERSION_CODENAME" "Component: main" | sort --unique)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror trixie main" > "$work/sources.list"
apt() {
  apt-get --quiet=2 -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
apt update
cd "$work"
apt download kustomize
dpkg --extract kustomize_*.deb .
install usr/bin/kustomize "$target"
