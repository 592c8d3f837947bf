#!/usr/bin/env bash
# Pressure: the share of time in which something (some) or everything (full) waited for the processor, memory or a disk.
set -euo pipefail
export LC_ALL=C

folder="${VIGIE_ROOT:-}/proc/pressure"
if ! [[ -r $folder/cpu ]] || ! { read -r _ <"$folder/cpu"; } 2>/dev/null; then
  echo "# UNAVAILABLE this kernel does not measure pressure (CONFIG_PSI, or psi=1 on its command line)"
else
  # One level for all lines: a comment cannot name a line. More than half of the time lost to waiting, for a quarter of
  # an hour, is felt by people whatever the resource.
  echo "# HELP pressure_waiting_seconds_total Time lost waiting
# HELP.fr pressure_waiting_seconds_total Temps perdu à attendre
# TYPE pressure_waiting_seconds_total counter
# WARN pressure_waiting_seconds_total > 0.6
# CLEAR pressure_waiting_seconds_total 0.4
# FOR pressure_waiting_seconds_total 15"
  for resource in cpu memory io; do
    while read -r kind _ _ _ total; do
      [[ $kind =~ ^(some|full)$ && $total =~ ^total=[0-9]+$ ]] ||
        { echo "pressure.sh: $folder/$resource is not as expected" >&2 && exit 1; }
      [[ $resource.$kind != cpu.full ]] || continue # for a whole machine it is always 0
      us=${total#total=}
      printf 'pressure_waiting_seconds_total{resource="%s",kind="%s"} %d.%06d\n' \
        "$resource" "$kind" $((us / 1000000)) $((us % 1000000))
    done <"$folder/$resource"
  done
fi
