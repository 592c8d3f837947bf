#!/usr/bin/env bash
# Temperatures from /sys/class/hwmon; from /sys/class/thermal where there is none.
set -euo pipefail
export LC_ALL=C
shopt -s nullglob

declare -A seen=()
lines=''
add() { # <file in thousandths of a degree> <sensor>: a sensor that does not answer, or says nonsense, is left out
  local value='' name=${2//[!A-Za-z0-9 ._+-]/_} first sign='' number=1
  { read -r value <"$1"; } 2>/dev/null || return 0
  [[ $value =~ ^-?[0-9]+$ ]] && ((value > -40000 && value < 150000)) || return 0
  [[ $value != -* ]] || sign=- value=${value#-}
  first=$name
  while [[ -n ${seen[$name]:-} ]]; do # two processors have the same names
    ((number += 1))
    name="$first $number"
  done
  seen[$name]=1
  printf -v value 'temperature_celsius{sensor="%s"} %s%d.%03d\n' "$name" "$sign" $((value / 1000)) $((value % 1000))
  lines+=$value
}

for file in "${VIGIE_ROOT:-}"/sys/class/hwmon/hwmon*/temp*_input; do
  chip='' label=''
  { read -r chip <"${file%/*}/name"; } 2>/dev/null || chip=unnamed
  { read -r label <"${file%_input}_label"; } 2>/dev/null || { label=${file##*/} && label=${label%_input}; }
  [[ $label != Core\ * ]] || continue # the package's own sensor is the warmest of them
  add "$file" "$chip $label"
done
if [[ -z $lines ]]; then
  for folder in "${VIGIE_ROOT:-}"/sys/class/thermal/thermal_zone*; do
    zone=''
    { read -r zone <"$folder/type"; } 2>/dev/null || continue
    add "$folder/temp" "$zone"
  done
fi

if [[ -z $lines ]]; then
  echo "# UNAVAILABLE no temperature sensor is visible"
else
  printf '%s' "# HELP temperature_celsius Temperature
# HELP.fr temperature_celsius Température
# TYPE temperature_celsius gauge
# WARN temperature_celsius > 85
# CRIT temperature_celsius > 95
# CLEAR temperature_celsius 80
# FOR temperature_celsius 5
$lines"
fi
