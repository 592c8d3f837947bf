#!/usr/bin/env bash
# Seconds since the machine started.
set -euo pipefail
export LC_ALL=C

read -r uptime _ <"${VIGIE_ROOT:-}/proc/uptime"
[[ $uptime =~ ^[0-9]+\.[0-9]+$ ]] || { echo "uptime.sh: /proc/uptime does not begin with a number" >&2 && exit 1; }
echo "# HELP uptime_seconds Time since the last start
# HELP.fr uptime_seconds Temps depuis le démarrage
# TYPE uptime_seconds gauge
uptime_seconds $uptime"
