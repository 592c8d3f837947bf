#!/usr/bin/env bash
# Judge what waits, then send what is owed: for cron, for the cycle (detached) and for a person. One sender at a time.
set -euo pipefail
export LC_ALL=C
umask 077

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python
data=${VIGIE_DATA:-data}
[[ ! -g $data || $(stat -c %a -- "$data") != 2770 ]] || umask 007 # two users of one group: archive/rights.py
[[ -x $python ]] || python=python3

# Without --send-only the spool is loaded and judged first, as a cycle does.
[[ ${1:-} == --send-only ]] || "$python" -I -S alerts/cycle.py
exec "$python" -m alerts.outbox
