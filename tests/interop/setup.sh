#!/bin/sh
# Installs what `make interop` needs, package by package: what cannot be had is named, and its cases are skipped.
set -u
if [ "$(id -u)" != 0 ]; then echo "make interop-setup installs packages and needs root" >&2; exit 2; fi
if ! command -v apt-get >/dev/null; then echo "make interop-setup knows apt alone: Debian or Ubuntu" >&2; exit 2; fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q || echo "the package lists could not be refreshed; trying with what is here" >&2
missing=""
for package in iproute2 tcpdump tshark sox libsox-fmt-all espeak-ng baresip-core linphone-cli twinkle-console sip-tester \
    pulseaudio pulseaudio-utils libasound2-plugins; do
    if apt-get install -y -q --no-install-recommends "$package" >/tmp/secp2psip-apt.$$ 2>&1; then
        echo "ok       $package"
    else
        echo "MISSING  $package: $(grep -m1 '^E:' /tmp/secp2psip-apt.$$)"
        missing="$missing $package"
    fi
    rm -f /tmp/secp2psip-apt.$$
done
if [ -n "$missing" ]; then echo "not installed:$missing (cases that need them are skipped, with this reason)"; fi
