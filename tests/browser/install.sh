#!/usr/bin/env bash
# A browser from Debian's own packages, where there is none yet.
set -euo pipefail
root=''; [ "$(id -u)" = 0 ] || root=sudo
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null
