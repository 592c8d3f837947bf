#!/usr/bin/env bash
# Is the clock synchronised? The kernel knows it; timedatectl says it to everyone, chrony says it where it rules.
# To ask wakes a service of systemd, so it is asked once an hour. FOR is a little less than that: the second reading in a
# row opens the alarm, also when it comes a second early.
set -euo pipefail
export LC_ALL=C

synchronised=''
if command -v timedatectl >/dev/null && answer="$(timedatectl show -p NTPSynchronized --value 2>/dev/null)"; then
  case $answer in
    yes) synchronised=1 ;;
    no) synchronised=0 ;;
    *) echo "clock.sh: timedatectl said neither yes nor no" >&2 && exit 1 ;;
  esac
elif command -v chronyc >/dev/null && answer="$(chronyc -n -c tracking 2>/dev/null)"; then
  case ${answer##*,} in
    Normal | 'Insert second' | 'Delete second') synchronised=1 ;;
    'Not synchronised') synchronised=0 ;;
    *) echo "clock.sh: chronyc did not say whether the clock is synchronised" >&2 && exit 1 ;;
  esac
fi

if [[ -z $synchronised ]]; then
  echo "# EVERY 60
# UNAVAILABLE neither timedatectl nor chronyc answers here"
  exit 0
fi
echo "# HELP clock_synchronised Clock synchronised
# EVERY 60
# HELP.fr clock_synchronised Horloge synchronisée
# TYPE clock_synchronised gauge
# WARN clock_synchronised < 1
# FOR clock_synchronised 55
clock_synchronised $synchronised"
