# What run_all.sh needs seldom: setting up, the dashboard, and what is started beside a cycle. It is read only then: most cycles
# of a day end without it, and to read it is a third of what Bash costs in them. Names and shell options are run_all.sh's.
# shellcheck shell=bash disable=SC2154 # root, data, python, interactive, apprise and centre are its

step() { # <French> <English>: progress, for a person only
  ((interactive)) || return 0
  printf '· '
  say "$1" "$2"
}

usage() {
  say "Usage : ./run_all.sh [start | stop | --flush | --help]
  (rien)    un passage : sondes, archivage, jugement ; installe ce qui manque ; lance le tableau de bord
  start     relance le tableau de bord après un « stop », puis fait un passage
  stop      arrête le tableau de bord ; il le reste jusqu'à « start » ou un passage au terminal
  --flush   archive tout ce qui attend, sans sonder" \
    "Usage: ./run_all.sh [start | stop | --flush | --help]
  (nothing) one cycle: probes, archiving, judging; sets up what is missing; starts the dashboard
  start     starts the dashboard again after a stop, then runs a cycle
  stop      stops the dashboard; it stays stopped until start, or a cycle run at a terminal
  --flush   archives all that waits, without probing"
}

take_the_lock() {
  if ! flock -n 9; then
    step "Un passage est déjà en cours." "A cycle is already running."
    exit 0
  fi
}

find_python() { # sets REPLY to a Python of 3.11 or later
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      REPLY=$name
      return
    fi
  done
  fail 127 "Python 3.11 ou plus récent est introuvable dans $PATH." "Python 3.11 or later is not in $PATH."
}

# Made aside, then put in place: the dashboard that runs keeps its packages until it is started again, and an upgrade
# without network keeps the old ones (the minute's path needs none of them) and tries again within the hour.
install_packages() {
  local log=$data/log/install.log
  if [[ -e .venv/complete && -n $(find .venv -maxdepth 1 -name tried -mmin -60) ]]; then return; fi
  [[ ! -L $log ]] || rm -f -- "$log"
  find_python
  if ! "$REPLY" -c 'import ensurepip, venv' 2>/dev/null; then
    fail 1 "il manque le module venv de Python. Tapez : sudo apt install python3-venv" \
      "Python's venv module is missing. Type: sudo apt install python3-venv"
  fi
  local -a wanted=(-r requirements.txt)
  ((!apprise)) || wanted+=(-r requirements-apprise.txt)
  ((!centre)) || wanted+=(-r requirements-fleet.txt)
  step "Installation des paquets Python dans .venv (une fois, une minute)…" \
    "Installing the Python packages in .venv (once, about a minute)…"
  if ! { "$REPLY" -m venv --clear .venv.new && .venv.new/bin/python -m pip install --quiet --disable-pip-version-check \
    --no-input --require-hashes "${wanted[@]}"; } >"$log" 2>&1 9>&-; then
    rm -rf .venv.new
    [[ -e .venv/complete ]] || fail 1 \
      "l'installation des paquets a échoué : voyez $log (sans réseau ? réessayez ./run_all.sh plus tard)." \
      "installing the packages failed: see $log (no network? try ./run_all.sh again later)."
    : >.venv/tried
    { say "vigie: les nouveaux paquets n'ont pu être installés (voyez $log) ; les anciens servent encore." \
      "vigie: the new packages could not be installed (see $log); the old ones still serve."; } >&2
    return
  fi
  : >.venv.new/complete
  ((!apprise)) || : >.venv.new/apprise
  ((!centre)) || : >.venv.new/fleet
  rm -rf .venv.old
  [[ ! -e .venv ]] || mv .venv .venv.old
  mv .venv.new .venv
  rm -rf .venv.old
}

# Whoever may read a source may read what it is compiled to, and only its owner writes that: it is run as the source is. What
# somebody put there is written over, or removed. Where we may not write, every cycle compiles anew: `./vigie doctor` says so
# (web/bytecode.py).
compile_all() {
  {
    find probes archive alerts web -path '*/__pycache__*' \( -type l -delete -o -exec chmod go-w {} + \) || true
    (umask 022 && exec "$python" -I -S -m compileall -f -q probes archive alerts web) || true
  } >/dev/null 2>&1 9>&-
  mark "$data/run/compiled" '' 2>/dev/null || true # a disk that is full must not keep the cycle from freeing its reserve
}

mark() { # <file> <text>: made anew, never through a link that somebody put there
  rm -f -- "$1"
  (set -C && printf '%s' "$2" >"$1")
}

set_up() {
  if [[ ! -d $data/spool || ! -d $data/journal || ! -d $data/probes || ! -d $data/run || ! -d $data/log || ! -d $data/quarantine ]]; then
    mkdir -p -- "$data"/{spool,journal,probes,run,log,quarantine}
  fi
  if [[ ! -e .venv/complete || requirements.txt -nt .venv/complete || ($apprise == 1 && ! -e .venv/apprise) || ($centre == 1 && ! -e .venv/fleet) ]]; then
    install_packages
  fi
  [[ -x $python ]] || fail 127 "$python ne peut être exécuté ; supprimez .venv et relancez ./run_all.sh." \
    "$python cannot be run; remove .venv and run ./run_all.sh again."
  is_compiled || compile_all
  local newest=(archive/migrations/*.sql) schema=
  [[ ! -e $data/run/schema ]] || read -r schema <"$data/run/schema" || true
  if [[ $schema != "${newest[-1]}" || ! -e $data/installed ]]; then
    step "Préparation de la base de données…" "Preparing the database…"
    [[ -e $data/installed ]] || export VIGIE_FIRST=1
    "$python" -I -S archive/setup.py 9>&- || exit 1
    mark "$data/run/schema" "${newest[-1]}"$'\n'
  fi
}

# The dashboard that we started: its pid and start time, so that a pid given to another program is never taken for it.
web_runs() {
  local pid started line
  [[ -r $data/run/web.pid ]] || return 1
  read -r pid started <"$data/run/web.pid" || return 1
  [[ $pid =~ ^[0-9]+$ && -r /proc/$pid/stat ]] || return 1
  read -r line <"/proc/$pid/stat" || return 1
  line=${line##*) }
  # shellcheck disable=SC2086 # the fields are wanted apart
  set -- $line
  [[ ${20} == "$started" ]] && REPLY=$pid
}

stop_web() {
  local tries=50
  web_runs || return 0
  kill "$REPLY" 2>/dev/null || true
  while ((tries--)) && web_runs; do sleep 0.1; done
  if web_runs; then kill -KILL "$REPLY"; fi
  rm -f -- "$data/run/web.pid"
}

start_web() {
  [[ ${VIGIE_WEB:-1} == 1 && ! -e $data/run/web.stopped ]] || return 0
  # An upgrade brings a newer CHANGELOG: the dashboard that still runs the old code is started again.
  if web_runs; then
    [[ CHANGELOG.md -nt $data/run/web.pid ]] || return 0
    stop_web
  fi
  step "Lancement du tableau de bord…" "Starting the dashboard…"
  keep_short "$data/log/web.log"
  setsid "$python" -m web.serve </dev/null >>"$data/log/web.log" 2>&1 9>&- &
  ((interactive)) || return 0
  local tries=100
  while ((tries--)) && ! web_runs; do sleep 0.1; done
  web_runs || fail 1 "le tableau de bord n'a pas démarré : voyez $data/log/web.log" \
    "the dashboard did not start: see $data/log/web.log"
}

keep_short() { # <file>: at most two files of 1 MB each; never through a link that somebody put there
  local -a found
  [[ ! -L $1 ]] || rm -f -- "$1"
  [[ -e $1 ]] || return 0
  mapfile -t found < <(find "$1" -size +1024k)
  ((${#found[@]} == 0)) || mv -f -- "$1" "$1.1"
}

# What the cycle said is due now, each in the background and each at most once at a time.
start_steps() {
  local line
  [[ -r $data/run/due ]] || return 0
  while read -r line; do
    case $line in
      send) detached alerts -m alerts.outbox ;;
      upkeep)
        detached upkeep -m archive.upkeep
        detached baseline -m alerts.baseline # once a day by its own count, at idle priority
        ;;
      fleet) detached fleet-watch -m alerts.fleet ;;
      certfr) detached certfr -m web certfr refresh --quiet ;;
      evidence\ *)
        read -ra line <<<"${line#evidence }"
        # It waits for its turn: what opens while another incident is looked at wants its evidence too.
        patience=60 detached evidence -m alerts.evidence --incident "${line[@]}"
        ;;
    esac
  done <"$data/run/due"
}

# The outside watcher: told when a cycle begins, when it was good, and when it failed. Never waited for.
ping() { # start | good | fail
  [[ -z ${VIGIE_PING_URL:-} || ! -x $python ]] || detached "ping-$1" -m web ping "$1"
}

failed() { # <status>
  (($1 == 0)) || ping fail
}

detached() { # <name> <python argument>... ; with patience=N it waits up to N seconds for the one before it
  local name=$1
  shift
  keep_short "$data/log/$name.log"
  setsid flock -w "${patience:-0}" "$data/run/$name.lock" nice -n 10 "$python" "$@" </dev/null >>"$data/log/$name.log" 2>&1 9>&- &
}

after() { # <steps, or nothing>
  trap 'failed $?' EXIT
  [[ ${1:-} != steps ]] || start_steps
  [[ ! -e $data/fleet/joined ]] || detached fleet -m archive.fleet.send
  start_web
  ping good
  tell
}

not_recorded() { # <status> <what was said>: what cannot be recorded is mailed, once an hour at most
  trap 'failed $?' EXIT
  (($1 < 128)) || exit "$1" # somebody stopped it
  # To nowhere, not to a log: the disk may be full.
  setsid "$python" -m web urgent "$2" </dev/null >/dev/null 2>&1 9>&- &
  exit 1
}

tell() {
  ((interactive)) || return 0
  "$python" -m web welcome 9>&- || true
}
