#!/usr/bin/env bash
# Updates that wait, security ones apart, and whether the machine should be restarted: from what apt or dnf already
# know, without the network and without root.
#
# Asking apt takes seconds of processor, so the answer is kept until packages or lists have changed.
set -euo pipefail
export LC_ALL=C
shopt -s nullglob

preamble="# HELP updates_pending Updates waiting
# EVERY 15
# LIMIT 60
# HELP.fr updates_pending Mises à jour en attente
# TYPE updates_pending gauge
# HELP updates_security_pending Security updates waiting
# HELP.fr updates_security_pending Mises à jour de sécurité en attente
# TYPE updates_security_pending gauge
# WARN updates_security_pending > 0
# FOR updates_security_pending 2880
# OFF updates_security_pending"
root=${VIGIE_ROOT:-}

unavailable() { # <reason>
  echo "$preamble
# UNAVAILABLE $1"
  exit 0
}

ask_apt() { # sets pending and security
  local report line summary=''
  report="$(apt-get -s -q -o Debug::NoLocking=true -o APT::Get::Show-User-Simulation-Note=false dist-upgrade)" ||
    { echo "updates.sh: apt-get cannot say what it would upgrade" >&2 && exit 1; }
  while IFS= read -r line; do
    case $line in
      'Inst '*' ['*'] ('*-[Ss]ecurity*) ((pending += 1, security += 1)) ;;
      'Inst '*' ['*'] ('*) ((pending += 1)) ;; # without [the version before] it is not an update but a new package
      *' upgraded, '*' newly installed, '*) summary=1 ;;
    esac
  done <<<"$report"
  [[ -n $summary ]] || { echo "updates.sh: apt-get did not say how many packages it would upgrade" >&2 && exit 1; }
}

ask_dnf() { # [--security]: the number of packages, in REPLY
  local report line status=0
  report="$(dnf -q --cacheonly check-update "$@" 2>&1)" || status=$?
  REPLY=0
  case $status in
    0) return 0 ;;
    100) ;;
    *) line=${report##*$'\n'} && unavailable "dnf cannot answer without the network: ${line:0:120}" ;;
  esac
  while IFS= read -r line; do
    [[ $line != Obsoleting* ]] || break
    [[ -n $line && $line != 'Security:'* ]] || continue
    [[ $line =~ ^[^\ ]+\.[a-z0-9_]+\ +[^\ ]+\ +[^\ ]+\ *$ ]] || { echo "updates.sh: dnf printed something else than packages" >&2 && exit 1; }
    ((REPLY += 1))
  done <<<"$report"
  ((REPLY > 0)) || { echo "updates.sh: dnf said that there are updates and named none" >&2 && exit 1; }
}

count() { # sets pending and security
  pending=0 security=0
  if [[ $1 == apt ]]; then
    ask_apt
  else
    ask_dnf && pending=$REPLY
    ask_dnf --security && security=$REPLY
  fi
}

if command -v apt-get >/dev/null && [[ -e $root/var/lib/dpkg/status ]]; then
  known=("$root"/var/lib/apt/lists/*_Packages*)
  ((${#known[@]})) || unavailable "apt has no package lists yet (apt-get update)"
  tool=apt sources=("$root"/var/lib/dpkg/status "$root"/var/lib/apt/lists)
elif command -v dnf >/dev/null; then
  tool=dnf sources=("$root"/{var/lib,usr/lib/sysimage}/rpm/rpmdb.sqlite "$root"/var/cache/{dnf,libdnf5})
else
  unavailable "neither apt nor dnf rules this machine"
fi

# The stamp is made before asking: what changes while apt reads is asked again.
stamp=${VIGIE_STATE:-}/stamp answer=${VIGIE_STATE:-}/answer pending='' security=''
if [[ -n ${VIGIE_STATE:-} && -s $answer && ! $stamp -nt $answer ]]; then
  read -r pending security <"$answer"
  for source in "${sources[@]}"; do
    [[ ! -e $source || $stamp -nt $source ]] || pending=''
  done
fi
if [[ ! $pending =~ ^[0-9]+$ || ! $security =~ ^[0-9]+$ ]]; then
  [[ -z ${VIGIE_STATE:-} ]] || { rm -f -- "$answer" && : >"$stamp"; }
  count "$tool"
  [[ -z ${VIGIE_STATE:-} ]] || echo "$pending $security" >"$answer"
fi
echo "$preamble
updates_pending $pending
updates_security_pending $security"

# Restart: the distribution says so, or a newer kernel than the one that runs is installed. Without either: no line.
restart=''
read -r release <"$root/proc/sys/kernel/osrelease"
if [[ -e $root/boot/vmlinuz-$release ]]; then
  restart=0
  for kernel in "$root"/boot/vmlinuz-*; do
    [[ $kernel == *rescue* || ! $kernel -nt $root/boot/vmlinuz-$release ]] || restart=1
  done
fi
[[ ! -e $root/run/reboot-required ]] || restart=1
# What else must be loaded anew, dnf's plugin knows; it is asked only when packages have changed since the start.
if [[ $tool == dnf && ${sources[*]} != '' && -e ${sources[0]} && ${sources[0]} -nt $root/run/systemd/system ]] &&
  command -v needs-restarting >/dev/null; then
  status=0
  needs-restarting -r >/dev/null 2>&1 || status=$?
  case $status in 0) restart=${restart:-0} ;; 1) restart=1 ;; esac
fi
[[ -z $restart ]] || echo "# HELP reboot_required Restart needed
# HELP.fr reboot_required Redémarrage nécessaire
# TYPE reboot_required gauge
# WARN reboot_required > 0
# OFF reboot_required
reboot_required $restart"
