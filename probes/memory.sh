#!/usr/bin/env bash
# Memory and swap from /proc/meminfo, and how often the kernel had to kill a process for lack of memory.
#
# Used is what is not available: the kernel's own estimate (MemAvailable) of what a program could still be given
# without swapping, caches included.
set -euo pipefail
export LC_ALL=C

# One pattern over the whole text: a loop over its lines costs more than all the rest.
IFS= read -r -d '' text <"${VIGIE_ROOT:-}/proc/meminfo" || true
form=$'(^|\n)MemTotal: +([0-9]+) kB\n.*\nMemAvailable: +([0-9]+) kB\n.*\nSwapTotal: +([0-9]+) kB\nSwapFree: +([0-9]+) kB\n'
[[ $text =~ $form ]] || { echo "memory.sh: /proc/meminfo is not as expected" >&2 && exit 1; }
size=${BASH_REMATCH[2]} available=${BASH_REMATCH[3]} swap=${BASH_REMATCH[4]} swap_used=$((BASH_REMATCH[4] - BASH_REMATCH[5]))
((size > 0 && available <= size)) || { echo "memory.sh: /proc/meminfo contradicts itself" >&2 && exit 1; }

ratio() { # <part> <whole>: in REPLY
  local millionths=$(($1 * 1000000 / $2))
  printf -v REPLY '%d.%06d' $((millionths / 1000000)) $((millionths % 1000000))
}

ratio "$available" "$size"
echo "# HELP memory_available_ratio Memory available
# HELP.fr memory_available_ratio Mémoire disponible
# TYPE memory_available_ratio gauge
# WARN memory_available_ratio < 0.10
# CRIT memory_available_ratio < 0.05
# CLEAR memory_available_ratio 0.15
# FOR memory_available_ratio 10
memory_available_ratio $REPLY"
ratio $((size - available)) "$size"
echo "# HELP memory_used_ratio Memory used
# HELP.fr memory_used_ratio Mémoire utilisée
# TYPE memory_used_ratio gauge
memory_used_ratio $REPLY
# HELP memory_available_bytes Memory available
# HELP.fr memory_available_bytes Mémoire disponible
# TYPE memory_available_bytes gauge
memory_available_bytes $((available * 1024))
# HELP memory_used_bytes Memory used
# HELP.fr memory_used_bytes Mémoire utilisée
# TYPE memory_used_bytes gauge
memory_used_bytes $(((size - available) * 1024))
# HELP memory_size_bytes Memory installed
# HELP.fr memory_size_bytes Mémoire installée
# TYPE memory_size_bytes gauge
memory_size_bytes $((size * 1024))"

if ((swap > 0)); then
  ratio "$swap_used" "$swap"
  echo "# HELP swap_used_ratio Swap used
# HELP.fr swap_used_ratio Espace d’échange utilisé
# TYPE swap_used_ratio gauge
# WARN swap_used_ratio > 0.90 and memory_available_ratio < 0.20
# CLEAR swap_used_ratio 0.80
# FOR swap_used_ratio 10
swap_used_ratio $REPLY
# HELP swap_used_bytes Swap used
# HELP.fr swap_used_bytes Espace d’échange utilisé
# TYPE swap_used_bytes gauge
swap_used_bytes $((swap_used * 1024))
# HELP swap_size_bytes Swap installed
# HELP.fr swap_size_bytes Espace d’échange installé
# TYPE swap_size_bytes gauge
swap_size_bytes $((swap * 1024))"
fi

IFS= read -r -d '' text <"${VIGIE_ROOT:-}/proc/vmstat" || true
form=$'\noom_kill ([0-9]+)'
if [[ $text =~ $form ]]; then
  echo "# HELP oom_kills_total Processes killed for lack of memory
# HELP.fr oom_kills_total Processus tués faute de mémoire
# TYPE oom_kills_total counter
# WARN oom_kills_total > 0
oom_kills_total ${BASH_REMATCH[1]}"
fi
