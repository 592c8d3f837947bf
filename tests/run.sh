#!/usr/bin/env bash
# All tests of this project: sets up what it needs (its own virtual environment, .venv-dev), then runs pytest.
# Needs no root. What needs a browser or a server is skipped by name where that is missing; CI allows no such skip.
# Arguments go to pytest: tests/run.sh tests/archive -k purge
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
umask 022
unset VIGIE_DATA
for name in "${!VIGIE_@}"; do unset "$name"; done

python=.venv-dev/bin/python
if [[ ! -e .venv-dev/complete || requirements-dev.txt -nt .venv-dev/complete ]]; then
  echo "· making .venv-dev from requirements-dev.txt (once)"
  for base in python3 python3.13 python3.12 python3.11; do
    command -v "$base" >/dev/null && "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && break
  done
  "$base" -c 'import ensurepip, venv' 2>/dev/null || {
    echo "Python's venv module is missing. Type: sudo apt install python3-venv" >&2
    exit 1
  }
  "$base" -m venv --clear .venv-dev
  "$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
  : >.venv-dev/complete
fi
# Two cores or more: files side by side, each file in one process.
exec "$python" -m pytest -n 4 --dist loadfile --no-loadscope-reorder "$@"
