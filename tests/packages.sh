#!/bin/sh
# Debian packages for the slow tests: a browser, a sound server, PortAudio. Root is needed only for what is missing.
set -eu
missing=""
for package in chromium pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || { echo "install these with your system's packages:$missing"; exit 1; }
[ "$(id -u)" = 0 ] || { echo "run as root: apt-get install -y --no-install-recommends$missing"; exit 1; }
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
