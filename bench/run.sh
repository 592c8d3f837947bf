#!/usr/bin/env bash
# The benchmark: `bench/run.sh` writes bench/RESULTS.md; `bench/run.sh --short` judges counts and ratios in a minute.
# All it makes is in a folder of its own under $TMPDIR, removed at the end. See bench/run.py for its arguments.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
umask 022
for name in "${!VIGIE_@}"; do unset "$name"; done
python=
for candidate in .venv/bin/python .venv-dev/bin/python; do
  [[ -x $candidate ]] && python=$candidate && break
done
if [[ -z $python ]]; then
  echo "bench/run.sh: no environment is there yet; type: ./run_all.sh (or tests/run.sh)" >&2
  exit 2
fi
exec "$python" -m bench.run "$@"
