#!/bin/sh
# Installs what `make interop` needs, and the shells whose completion is tested. What cannot be had is named, and the cases that need it are skipped.
set -u
if [ "$(id -u)" != 0 ]; then echo "make interop-setup installs packages and needs root" >&2; exit 2; fi
if ! command -v apt-get >/dev/null; then echo "make interop-setup knows apt alone: Debian or Ubuntu" >&2; exit 2; fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
wanted="iproute2 tcpdump tshark sox libsox-fmt-all espeak-ng baresip-core linphone-cli twinkle-console sip-tester pulseaudio
    pulseaudio-utils libasound2-plugins zsh fish"

lacking() {
    for package in $wanted; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

install() { apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=60 "$@" >"$log" 2>&1; }

if [ -n "$(lacking)" ]; then
    echo "installing $(lacking | tr '\n' ' ')..."
    apt-get update -q >"$log" 2>&1 || echo "the package lists could not be refreshed; trying with what is here" >&2
    # all at once is quick; one by one where one of them cannot be had
    install $(lacking) || for package in $(lacking); do
        install "$package" || echo "MISSING  $package: $(grep -m1 '^E:' "$log")"
    done
fi
left=$(lacking | tr '\n' ' ')
if [ -n "$left" ]; then echo "not installed: $left(cases that need them are skipped, with this reason)"; else echo "everything is installed"; fi
