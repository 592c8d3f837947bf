#!/usr/bin/env bash
# Bytes read and written by each disk, and the time it was busy: real disks only, not their partitions, nor loop,
# RAID, LVM or memory devices, which would count the same bytes again.
set -euo pipefail
export LC_ALL=C

read_bytes='' written_bytes='' busy=''
mapfile -t rows <"${VIGIE_ROOT:-}/proc/diskstats"
for row in "${rows[@]}"; do
  [[ $row != *" loop"[0-9]* && $row != *" ram"[0-9]* ]] || continue # the most, and never a disk
  read -r _ _ device reads _ sectors_read _ _ _ sectors_written _ _ ms _ <<<"$row"
  [[ $reads =~ ^[0-9]+$ && $sectors_read =~ ^[0-9]+$ && $sectors_written =~ ^[0-9]+$ && $ms =~ ^[0-9]+$ ]] ||
    { echo "diskio.sh: a line of /proc/diskstats is not as expected" >&2 && exit 1; }
  [[ -e ${VIGIE_ROOT:-}/sys/block/${device//\//!}/device && $device != sr* && $device != fd* ]] || continue
  device=${device//[!A-Za-z0-9._-]/_}
  # The kernel's sectors have 512 bytes here, whatever the disk's own have.
  read_bytes+="diskio_read_bytes_total{device=\"$device\"} $((sectors_read * 512))"$'\n'
  written_bytes+="diskio_written_bytes_total{device=\"$device\"} $((sectors_written * 512))"$'\n'
  printf -v line 'diskio_busy_seconds_total{device="%s"} %d.%03d\n' "$device" $((ms / 1000)) $((ms % 1000))
  busy+=$line
done

if [[ -z $busy ]]; then
  echo "# UNAVAILABLE no disk of this machine is visible"
else
  printf '%s' "# HELP diskio_read_bytes_total Disks, read
# HELP.fr diskio_read_bytes_total Disques, lecture
# TYPE diskio_read_bytes_total counter
$read_bytes# HELP diskio_written_bytes_total Disks, written
# HELP.fr diskio_written_bytes_total Disques, écriture
# TYPE diskio_written_bytes_total counter
$written_bytes# HELP diskio_busy_seconds_total Disks, time busy
# HELP.fr diskio_busy_seconds_total Disques, temps d’occupation
# TYPE diskio_busy_seconds_total counter
$busy"
fi
