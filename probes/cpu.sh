#!/usr/bin/env bash
# CPU time of the whole machine, busy and per mode, from /proc/stat.
#
# The kernel counts jiffies (1/100 s) summed over the cores; divided by the number of cores they are seconds of the
# machine, so that a rate is a share from 0 to 1. Guest time already stands inside user; waiting for a disk (iowait)
# is not work; what the hypervisor took (steal) is not ours. Both are shown as modes and not counted as busy.
set -euo pipefail
export LC_ALL=C

modes=(user nice system idle iowait irq softirq steal)

read_ticks() { # sets cores, ticks[mode] in the order of modes, and busy
  local -a lines
  mapfile -t lines <"${VIGIE_ROOT:-}/proc/stat"
  [[ ${lines[0]:-} =~ ^cpu(\ +[0-9]+){8} ]] || { echo "cpu.sh: /proc/stat does not begin as expected" >&2 && exit 1; }
  read -r -a ticks <<<"${lines[0]#cpu}"
  busy=$((ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]))
  cores=1
  while [[ ${lines[cores + 1]:-} == cpu[0-9]* ]]; do ((cores += 1)); done
}

seconds() { # <ticks summed over the cores>: seconds of the machine, in REPLY
  local tenths_of_ms=$(($1 * 100 / cores))
  printf -v REPLY '%d.%04d' $((tenths_of_ms / 10000)) $((tenths_of_ms % 10000))
}

read_ticks
echo "# HELP cpu_cores Processor cores
# HELP.fr cpu_cores Cœurs de processeur
# TYPE cpu_cores gauge
cpu_cores $cores
# HELP cpu_busy_seconds_total CPU in use
# HELP.fr cpu_busy_seconds_total Processeur occupé
# TYPE cpu_busy_seconds_total counter
# WARN cpu_busy_seconds_total > 0.95
# CLEAR cpu_busy_seconds_total 0.85
# FOR cpu_busy_seconds_total 15"
seconds "$busy"
echo "cpu_busy_seconds_total $REPLY
# HELP cpu_seconds_total CPU time by mode
# HELP.fr cpu_seconds_total Temps processeur par mode
# TYPE cpu_seconds_total counter"
for i in "${!modes[@]}"; do
  seconds "${ticks[i]}"
  echo "cpu_seconds_total{mode=\"${modes[i]}\"} $REPLY"
done

if [[ -t 1 ]]; then
  before=$busy
  sleep 1
  read_ticks
  echo "CPU in use over one second: $(((busy - before) / cores)) %" >&2
fi
