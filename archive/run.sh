#!/usr/bin/env bash
# The archive's step alone: texts that wait become rows, then what is due of upkeep (rollups, purge, backup) and of CERT-FR.
# run_all.sh does the same, each part when it is due.
set -euo pipefail
umask 077
export LC_ALL=C
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python
data=${VIGIE_DATA:-data}
[[ ! -g $data || $(stat -c %a -- "$data") != 2770 ]] || umask 007 # two users of one group: archive/rights.py
if [[ ! -x $python ]]; then
  echo "vigie: nothing is set up yet; type: $PWD/run_all.sh" >&2
  exit 127
fi
"$python" -m archive.upkeep --load
"$python" -m web certfr refresh --quiet
