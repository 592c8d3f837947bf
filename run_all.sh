#!/bin/bash
# One cycle of Vigie, for cron and for a person: sets up what is missing, probes, archives, judges, keeps the dashboard up.
# Silent when all is well and nobody watches; one clear line on standard error and a non-zero status when it is not.
set -euo pipefail
umask 077
export LC_ALL=C PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}"
unset CDPATH
cd -- "${BASH_SOURCE[0]%"${BASH_SOURCE[0]##*/}"}." && root=$PWD
python=$root/.venv/bin/python
interactive=0
complete=0
apprise=0
centre=0
[[ -z ${VIGIE_NOTIFY_URLS:-} ]] || apprise=1
[[ -z ${VIGIE_DATABASE_URL:-} ]] || centre=1
[[ -t 1 ]] && interactive=1

say() { # <French> <English>
  if [[ ${VIGIE_LANGUAGE:-fr} == en ]]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi
}

fail() { # <status> <French> <English>
  { printf 'vigie: ' && say "$2" "$3"; } >&2
  exit "$1"
}

# The few settings that the shell itself needs. The file is data: it is read, never sourced. Python checks every line.
read_settings() {
  local file=${VIGIE_DATA:-data}/settings.env name value opened
  [[ -r $file ]] || return 0
  exec {opened}<"$file"
  check_settings "${VIGIE_DATA:-data}" "$file" "$opened"
  while IFS='=' read -r name value || [[ -n $name ]]; do
    case $name in
      VIGIE_DATA | VIGIE_WEB | VIGIE_WAIT | VIGIE_PROBES | VIGIE_LANGUAGE | VIGIE_PING_URL | VIGIE_LISTEN)
        value=${value%$'\r'}
        value=${value#[\"\']}
        value=${value%[\"\']}
        [[ -n ${!name+set} ]] || export "$name=$value"
        ;;
      # A secret: only whether it is set, never its value, goes further.
      VIGIE_NOTIFY_URLS) [[ -z $value ]] || apprise=1 ;;
      VIGIE_DATABASE_URL) [[ -z $value ]] || centre=1 ;;
    esac
  done <&"$opened"
  exec {opened}<&-
}

# Two users of one group: the settings say which programs are probes, so the other one must not be able to write them.
# archive/rights.py is the same rule. The open file is looked at, not the name: it may be another one by now.
check_settings() { # <folder> <file> <descriptor>
  local owner holder mode
  [[ -g $1 ]] || return 0
  read -r owner mode < <(stat -L -c '%u %a' "/proc/self/fd/$3")
  holder=$(stat -c %u -- "$1")
  if ((owner != 0 && owner != holder || 8#$mode & 8#022)); then
    fail 1 "$2 peut être changé par un autre que le propriétaire de $1. Tapez : sudo chown $holder '$2' ; sudo chmod 640 '$2'" \
      "$2 can be changed by another than the owner of $1. Type: sudo chown $holder '$2'; sudo chmod 640 '$2'"
  fi
}

absolute() { # <path>: from the project's folder, as archive/settings.py does
  if [[ $1 == /* ]]; then printf -v REPLY %s "$1"; else printf -v REPLY %s "$root/$1"; fi
}

open_the_lock() { # descriptor 9: alerts/run_cycle.py takes the lock on it
  [[ ! -L $data/run_all.lock ]] || fail 1 "$data/run_all.lock est un lien symbolique ; supprimez-le." \
    "$data/run_all.lock is a symbolic link; remove it."
  exec 9>>"$data/run_all.lock"
}

is_set_up() { # and can be left alone; the newest migration is the last by name
  local newest=(archive/migrations/*.sql) schema=
  [[ -d $data/spool && -d $data/journal && -d $data/probes && -d $data/run && -d $data/log && -d $data/quarantine &&
    -e .venv/complete && -x $python && -e $data/installed && ! requirements.txt -nt .venv/complete ]] || return 1
  ((!apprise)) || [[ -e .venv/apprise ]] || return 1
  ((!centre)) || [[ -e .venv/fleet ]] || return 1
  is_compiled || return 1
  [[ ! -e $data/run/schema ]] || read -r schema <"$data/run/schema" || true
  [[ $schema == "${newest[-1]}" ]]
}

is_compiled() { # since the last upgrade, and since the packages were installed
  [[ -e $data/run/compiled && ! CHANGELOG.md -nt $data/run/compiled && ! .venv/complete -nt $data/run/compiled ]]
}

beside() { # the rest of this program; most cycles of a day need none of it, and to read it is a third of what their Bash costs
  # shellcheck source=alerts/beside.sh
  ((complete)) || . alerts/beside.sh
  complete=1
}

# alerts/run_cycle.py is the cycle; it gives this process back to `after` or to `not_recorded` when there is more to do.
cycle() {
  if ((complete)); then
    ping start
    trap 'failed $?' EXIT
    step "Sondes…" "Probes…"
  fi
  plain_python
  # Not as a file: what is imported is compiled once.
  exec "$REPLY" -I -S -c 'import sys; sys.path[:0] = sys.argv[1:]; import run_cycle; run_cycle.start()' "$root/probes" "$root/alerts"
}

plain_python() { # in REPLY: what .venv was made from. To look for an environment is a tenth of its start, and the cycle needs none
  local name value
  REPLY=$python
  while IFS=' =' read -r name value; do
    if [[ $name == executable && -x $value ]]; then REPLY=$value; fi
  done <.venv/pyvenv.cfg
}

main() {
  [[ -z ${1:-} ]] || beside
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
    '' | start | stop | --flush) ;;
    --after | --failed) [[ -e /proc/self/fd/9 ]] || { usage >&2 && exit 2; } ;;
    *) usage >&2 && exit 2 ;;
  esac
  read_settings
  if ((interactive)) || [[ -n ${VIGIE_PING_URL:-} ]]; then beside; fi
  absolute "${VIGIE_DATA:-data}" && data=$REPLY
  export VIGIE_DATA=$data
  # Two users of one group (docs/deployment.md): the folder says so. archive/rights.py is the same rule.
  [[ ! -g $data || $(stat -c %a -- "$data") != 2770 ]] || umask 007
  case ${1:-} in
    --after) after "${2:-}" && exit 0 ;;
    --failed) not_recorded "$2" "$3" ;;
  esac
  [[ -d $data ]] || mkdir -p -- "$data" 2>/dev/null || fail 1 "le dossier $data ne peut être créé." "the folder $data cannot be made."
  [[ -w $data ]] || fail 1 "le dossier $data n'est pas accessible en écriture." "the folder $data cannot be written."
  if [[ ${1:-} == stop ]]; then
    mkdir -p -- "$data/run"
    mark "$data/run/web.stopped" ''
    stop_web
    step "Le tableau de bord est arrêté." "The dashboard is stopped."
    exit 0
  fi
  open_the_lock
  if ((interactive)) || [[ -n ${1:-} ]] || ! is_set_up; then
    beside
    take_the_lock
    set_up
  fi
  if [[ ${1:-} == --flush ]]; then
    exec "$python" -I -S alerts/cycle.py
  fi
  if [[ ${1:-} == start || $interactive == 1 ]]; then rm -f -- "$data/run/web.stopped"; fi
  cycle
}

main "$@"
