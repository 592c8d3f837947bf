#!/usr/bin/env bash
# Everything that takes long, one after the other, without limit; what each found goes to tests/full/RESULTS.md with the commit.
#
#   tests/full.sh [NAME...]     sweep power soak guards engines minutes pictures fuzz   (nothing: all of them)
#
# As root on a Debian or Ubuntu with strace, cron, sysstat and Chromium (.ci/run installs them); about two hours on two cores.
# The sweep goes on where it was stopped. Status 0: all ended well.
set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 1
umask 022
unset VIGIE_DATA
for name in "${!VIGIE_@}"; do unset "$name"; done
python=.venv-dev/bin/python
[[ -e .venv-dev/complete ]] || tests/run.sh --version || exit 1

bad=0

run() { # <name> <command>...
  local name=$1 status=0 began=$SECONDS said
  shift
  printf '== %s\n' "$name"
  said=$(mktemp)
  "$@" 2>&1 | tee "$said" || status=$?
  "$python" -m tests.full.results "$name" "$status" "$((SECONDS - began))" <"$said"
  rm -f -- "$said"
  ((status == 0)) || bad=1
}

((${#@})) || set -- sweep power soak guards engines minutes pictures fuzz
for name in "$@"; do
  case $name in
    sweep) run sweep "$python" -m tests.full.sweep ;;
    power) TESTS_TIER=ci run power "$python" -m pytest -p no:cacheprovider -q -s tests/faults/test_power.py ;;
    soak) run soak "$python" -m tests.full.soak ;;
    guards) run guards "$python" -m tests.full.guards ;;
    engines)
      # The suites of archive and web on PostgreSQL, whole.
      TESTS_TIER=ci TESTS_ENGINE=postgresql run engines tests/run.sh -p no:cacheprovider -n 2 \
        -m "not alone and not needs_browser" tests/archive tests/web
      ;;
    minutes) run minutes "$python" tests/full/ten_minutes.py ;;
    pictures)
      pictures=$(mktemp -d)
      run pictures "$python" tests/full/pictures.py "$pictures"
      rm -rf -- "$pictures"
      ;;
    fuzz)
      # Ten minutes of each parser, where atheris is there.
      if [[ -d tests/fuzz ]]; then run fuzz "$python" -m tests.fuzz.run probe_text 600; fi
      ;;
    *)
      printf 'tests/full.sh: there is no run %q\n' "$name" >&2
      exit 2
      ;;
  esac
done
exit "$bad"
