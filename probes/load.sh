#!/usr/bin/env bash
# Load average: processes that run, want to run, or wait for a disk.
#
# Off as an alert: it counts the waiting without saying who waits for what; pressure.sh says it. The shipped level
# follows the number of cores.
set -euo pipefail
export LC_ALL=C

read -r one five fifteen _ <"${VIGIE_ROOT:-}/proc/loadavg"
for value in "$one" "$five" "$fifteen"; do
  [[ $value =~ ^[0-9]+\.[0-9]+$ ]] || { echo "load.sh: /proc/loadavg does not begin with three numbers" >&2 && exit 1; }
done

cores=0
IFS=, read -r -a spans <"${VIGIE_ROOT:-}/sys/devices/system/cpu/online" || spans=(0)
for span in "${spans[@]}"; do # "0-3,6" is 0 to 3, and 6
  ((cores += ${span#*-} - ${span%-*} + 1))
done

echo "# HELP load_average Load average
# HELP.fr load_average Charge moyenne
# TYPE load_average gauge
# WARN load_average > $((2 * cores))
# CRIT load_average > $((4 * cores))
# FOR load_average 15
# OFF load_average
load_average{window=\"1m\"} $one
load_average{window=\"5m\"} $five
load_average{window=\"15m\"} $fifteen"
