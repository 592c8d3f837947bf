#!/usr/bin/env bash
# Who is logged in, from where, since when: from loginctl; where it does not answer, from who (a real utmp needed).
set -euo pipefail
export LC_ALL=C

names=() ttys=() origins=() times=()

refuse() { # <program>
  echo "users.sh: $1 printed something else than sessions" >&2
  exit 1
}

ask_loginctl() { # 1 when it does not answer
  local list properties line
  local -a ids=()
  local -A session=()
  [[ -d ${VIGIE_ROOT:-}/run/systemd/system ]] && command -v loginctl >/dev/null || return 1 # no logind
  list="$(loginctl list-sessions --no-legend --no-pager 2>/dev/null)" || return 1
  while read -r line _; do
    [[ $line =~ ^[A-Za-z0-9]*$ ]] || refuse loginctl
    [[ -z $line ]] || ids+=("$line")
  done <<<"$list"
  ((${#ids[@]})) || return 0
  # A session may end between the two questions: then the whole is asked again at the next cycle.
  properties="$(loginctl show-session --no-pager -p Name -p Class -p State -p TTY -p Seat -p RemoteHost -p Timestamp -- "${ids[@]}")"
  while IFS= read -r line; do # blocks of Name=Value, an empty line between two
    if [[ -n $line ]]; then
      [[ $line == [A-Z]*=* ]] || refuse loginctl
      session[${line%%=*}]=${line#*=}
      continue
    fi
    [[ -n ${session[Name]:-} && -n ${session[Class]:-} && -n ${session[Timestamp]:-} ]] || refuse loginctl
    if [[ ${session[Class]} =~ ^user(-early|-light)?$ && ${session[State]:-} != closing ]]; then
      names+=("${session[Name]}") ttys+=("${session[TTY]:-}") times+=("${session[Timestamp]}")
      origins+=("${session[RemoteHost]:-${session[Seat]:-${session[TTY]:-}}}")
    fi
    session=()
  done <<<"$properties"$'\n'
}

ask_who() { # 1 when it cannot know
  local list line
  local form='^([^ ]+) +([^ ]+) +([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2})( +\((.*)\))? *$'
  [[ -r ${VIGIE_ROOT:-}/run/utmp ]] && command -v who >/dev/null || return 1
  list="$(who -- "${VIGIE_ROOT:-}/run/utmp")"
  while IFS= read -r line; do
    [[ -n $line ]] || continue
    [[ $line =~ $form ]] || refuse who
    names+=("${BASH_REMATCH[1]}") ttys+=("${BASH_REMATCH[2]}") times+=("${BASH_REMATCH[3]}")
    origins+=("${BASH_REMATCH[5]:-${BASH_REMATCH[2]}}")
  done <<<"$list"
}

escape() { # <text>: as a label's value, in REPLY; names come from the network: what is unusual becomes _
  REPLY=${1//[!A-Za-z0-9 .:_@%+\/\\-]/_} REPLY=${REPLY//\\/\\\\}
}

users_answer() { # prints what is known; 75: somebody has to be asked, which is not for the runner's own shell
  # logind renames a file in this folder whenever a session begins, ends or changes: until then the answer stands. It is
  # asked again every quarter of an hour all the same.
  local sessions="${VIGIE_ROOT:-}/run/systemd/sessions" stamp="${VIGIE_STATE:-}/stamp" answer="${VIGIE_STATE:-}/answer"
  local asked=0 text='' fact lines='' i
  if [[ -n ${VIGIE_STATE:-} && -d $sessions ]]; then
    [[ ! -s $stamp ]] || read -r asked <"$stamp"
    if [[ -s $answer && $stamp -nt $sessions && $asked =~ ^[0-9]+$ ]] && ((EPOCHSECONDS - asked < 900 && EPOCHSECONDS >= asked)); then
      IFS= read -r -d '' text <"$answer" || true
      printf '%s' "$text"
      return 0
    fi
  fi
  if [[ ! -d ${VIGIE_ROOT:-}/run/systemd/system && ! -r ${VIGIE_ROOT:-}/run/utmp ]]; then
    echo "# UNAVAILABLE loginctl does not answer and there is no utmp: nobody here keeps the list of sessions"
    return 0
  fi
  [[ ${BASH_SOURCE[0]} == "$0" ]] || return 75
  export TZ=UTC
  if [[ -n ${VIGIE_STATE:-} && -d $sessions ]]; then
    rm -f -- "$answer"
    echo "$EPOCHSECONDS" >"$stamp"
  fi
  if ! ask_loginctl && ! ask_who; then
    echo "# UNAVAILABLE loginctl does not answer and there is no utmp: nobody here keeps the list of sessions"
    return 0
  fi
  local -a since=()
  ((${#times[@]} == 0)) || mapfile -t since < <(printf '%s\n' "${times[@]}" | date -f - +%s)
  ((${#since[@]} == ${#times[@]})) || refuse "the source of sessions"
  local -A distinct=() facts=()
  for i in "${!names[@]}"; do
    distinct[${names[i]}]=1
    escape "${names[i]}" && fact="login_info{user=\"$REPLY\""
    escape "${ttys[i]}" && fact+=",tty=\"$REPLY\""
    escape "${origins[i]}" && fact+=",from=\"$REPLY\",since=\"${since[i]}\"} 1"
    facts[$fact]=1 # two sessions may look the same
  done
  ((${#facts[@]} == 0)) || printf -v lines '\n%s' "${!facts[@]}"
  text="# HELP users_logged_in People logged in
# HELP.fr users_logged_in Personnes connectées
# TYPE users_logged_in gauge
users_logged_in ${#distinct[@]}
# HELP login_sessions Sessions open
# HELP.fr login_sessions Sessions ouvertes
# TYPE login_sessions gauge
login_sessions ${#names[@]}$lines"
  echo "$text"
  [[ ! -s $stamp ]] || echo "$text" >"$answer"
}

users_answer
