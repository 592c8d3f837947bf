#!/usr/bin/env bash
# RAID arrays that miss a disk: Linux software RAID from /proc/mdstat, ZFS pools from what its module says in /proc.
#
# Both are readable by everyone. Hardware RAID, LVM's own RAID and btrfs are not asked: they need root or a vendor's tool.
set -euo pipefail
export LC_ALL=C
shopt -s nullglob

arrays=''
add() { # <array> <0 or 1>
  arrays+="raid_degraded{array=\"${1//[!A-Za-z0-9._:-]/_}\"} $2"$'\n'
}

name=''
if [[ -r ${VIGIE_ROOT:-}/proc/mdstat ]]; then
  while read -r first second third rest; do
    if [[ $second == : && $first != Personalities && $first != unused ]]; then
      [[ -z $name ]] || add "$name" "$state"
      name=$first state=0
      [[ $third == active && "$rest " != *'(F)'* ]] || state=1
    elif [[ -n $name && "$first $second $third $rest" =~ \[[U_]*_[U_]*\] ]]; then
      state=1
    fi
  done <"${VIGIE_ROOT:-}/proc/mdstat"
  [[ -z $name ]] || add "$name" "$state"
fi

for file in "${VIGIE_ROOT:-}"/proc/spl/kstat/zfs/*/state; do
  read -r state <"$file"
  name=${file%/state}
  case $state in
    ONLINE) add "${name##*/}" 0 ;;
    DEGRADED | FAULTED | OFFLINE | REMOVED | UNAVAIL | SUSPENDED) add "${name##*/}" 1 ;;
    *) echo "raid.sh: the state of the pool ${name##*/} is not one that ZFS has" >&2 && exit 1 ;;
  esac
done

if [[ -z $arrays ]]; then
  echo "# EVERY 5
# UNAVAILABLE there is no software RAID and no ZFS pool"
else
  printf '%s' "# HELP raid_degraded RAID array that misses a disk
# EVERY 5
# HELP.fr raid_degraded Grappe RAID à laquelle manque un disque
# TYPE raid_degraded gauge
# CRIT raid_degraded > 0
$arrays"
fi
