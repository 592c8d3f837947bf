#!/usr/bin/env bash
# systemd units that have failed.
set -euo pipefail
export LC_ALL=C

if ! command -v systemctl >/dev/null || [[ ! -d ${VIGIE_ROOT:-}/run/systemd/system ]]; then
  echo "# EVERY 5
# UNAVAILABLE this machine does not run systemd"
  exit 0
fi

units="$(systemctl list-units --failed --plain --no-legend --no-pager --full)"
count=0 facts=''
while read -r unit load _; do
  [[ -n $unit ]] || continue
  [[ $unit =~ ^[A-Za-z0-9:_.\\@-]+\.[a-z]+$ && $load =~ ^[a-z-]+$ ]] ||
    { echo "units.sh: systemctl printed something else than units" >&2 && exit 1; }
  facts+="unit_failed_info{unit=\"${unit//\\/\\\\}\"} 1"$'\n'
  ((count += 1))
done <<<"$units"

printf '%s' "# HELP units_failed Services that have failed
# EVERY 5
# HELP.fr units_failed Services en échec
# TYPE units_failed gauge
# WARN units_failed > 0
# FOR units_failed 10
units_failed $count
$facts"
