#!/usr/bin/env bash
# What each disk says of its own health (SMART). Reading it needs the right to open the disk: root, or a group that may.
#
# Slow disks answer slowly, and one that sleeps is not woken.
set -euo pipefail
export LC_ALL=C
shopt -s nullglob

preamble="# HELP disk_health_failing Disk that announces its own failure
# EVERY 60
# LIMIT 60
# HELP.fr disk_health_failing Disque qui annonce sa panne
# TYPE disk_health_failing gauge
# CRIT disk_health_failing > 0"

unavailable() { # <reason>
  echo "$preamble
# UNAVAILABLE $1"
  exit 0
}

disks=("${VIGIE_ROOT:-}"/sys/block/{sd*,nvme*n*,hd*})
((${#disks[@]})) || unavailable "there is no disk that could speak of its health"
command -v smartctl >/dev/null || unavailable "smartctl is not installed (package smartmontools)"

lines='' denied=''
for disk in "${disks[@]}"; do
  name=${disk##*/} name=${name//[!A-Za-z0-9._-]/_}
  if [[ ! -r ${VIGIE_ROOT:-}/dev/$name ]]; then
    denied=$name
    continue
  fi
  # The status is a set of bits: 1 and 2 say that it was not asked, the others are about the disk.
  status=0
  report="$(smartctl -H -n standby "${VIGIE_ROOT:-}/dev/$name")" || status=$?
  case $report in
    *'self-assessment test result: PASSED'* | *'SMART Health Status: OK'*) lines+="disk_health_failing{device=\"$name\"} 0"$'\n' ;;
    *'self-assessment test result: FAILED'* | *'SMART Health Status: '*) lines+="disk_health_failing{device=\"$name\"} 1"$'\n' ;;
    *'Device is in '*' mode'* | *'lacks SMART capability'* | *'SMART support is: '* | *'Unknown USB bridge'*) ;;
    *'Permission denied'*) denied=$name ;;
    *) ((status & 3)) || { echo "smart.sh: smartctl said nothing of the health of $name" >&2 && exit 1; } ;;
  esac
done

if [[ -z $lines ]]; then
  [[ -z $denied ]] || unavailable "no right to read /dev/$denied (needs root or the group of the disks)"
  unavailable "no disk here speaks of its health"
fi
printf '%s' "$preamble
$lines"
