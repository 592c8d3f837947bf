#!/usr/bin/env bash
# Installs the peers and measures them beside Vigie, in one run; writes bench/PEERS.md. Debian, as root, on a machine that
# may be thrown away: packages stay installed. No service is started by its package, and all that is started here is ended.
#   bench/peers.sh [--seconds 120] [--data FOLDER] [--no-install] [--out FILE]
# --data: a year built by `bench/run.sh --data FOLDER`; without it, one is built (minutes).
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
umask 022
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
for name in "${!VIGIE_@}"; do unset "$name"; done

fail() {
  echo "bench/peers.sh: $*" >&2
  exit 2
}

install=1
arguments=()
for argument in "$@"; do
  if [[ $argument == --no-install ]]; then install=0; else arguments+=("$argument"); fi
done
python=
for candidate in .venv/bin/python .venv-dev/bin/python; do
  [[ -x $candidate ]] && python=$candidate && break
done
[[ -n $python ]] || fail "no environment is there yet; type: ./run_all.sh (or tests/run.sh)"

work=$(mktemp -d "${TMPDIR:-/tmp}/vigie-peers-XXXXXX")
chmod 755 "$work" # munin's programs run as their own user
policy=/usr/sbin/policy-rc.d
made_policy=0
finish() {
  ((made_policy)) && rm -f -- "$policy"
  rm -rf -- "$work"
}
trap finish EXIT

peers=(munin munin-node munin-plugins-core rrdtool collectd-core prometheus prometheus-node-exporter sysstat monit)
if ((install)); then
  ((EUID == 0)) || fail "installing takes root; with the peers there already: --no-install"
  command -v apt-get >/dev/null || fail "knows Debian's packages only; with the peers there already: --no-install"
  if [[ ! -e $policy ]]; then
    # What Debian asks before it starts a service of a new package: 101 is no.
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=1
  fi
  apt-get update -qq || echo "bench/peers.sh: the lists of packages are as they were" >&2
  for peer in "${peers[@]}" netdata-core; do
    apt-get install -y -qq --no-install-recommends "$peer" >/dev/null 2>&1 || echo "bench/peers.sh: $peer cannot be installed; it is left out" >&2
  done
  python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet --disable-pip-version-check 'glances==4.5.8' ||
    echo "bench/peers.sh: Glances cannot be installed; it is left out" >&2
fi
"$python" -m bench.peers --work "$work" "${arguments[@]}"
