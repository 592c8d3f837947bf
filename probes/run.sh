#!/usr/bin/env bash
# Run every probe that is due, side by side, and leave the whole cycle as one file in data/spool/.
#
#   1. Find the executables in the folders of VIGIE_PROBES; `# EVERY n` and `# LIMIT n` are read from their source.
#   2. Start those that are due, each under its own time limit. One that still runs from an earlier cycle is not
#      started again.
#   3. Meanwhile read the shipped Bash probes that ask /proc and /sys alone, one after the other, in one subshell with a
#      process group and a time limit of its own: no program to start. Whatever ends that subshell (a failure, an exit,
#      the time limit) ends the probe that was being read; the others go on in a new one.
#   4. Wait for each, but never for more than 3 s past its limit: what cannot even be killed is left behind.
#   5. Write the spool file aside, rename it, sync it and the folder. Killed anywhere, it is there whole or not at all;
#      after a power cut its end mark tells whether it is whole.
#   6. Refresh data/probes/, the latest good text of each probe, for people and for node_exporter.
#
# No argument. Status 0 also when probes failed (a failure is data); 1 when something could not be written or found.
# run_all.sh sources it, which saves starting a Bash.
set -euo pipefail
set -o noclobber # `>` follows no planted link and overwrites nothing
shopt -s nullglob
umask 077
export LC_ALL=C
trap '' XFSZ # past a file size limit a write fails and says so, instead of killing the shell

declare -A left=() pids=() starts=() sinces=()                          # kept from cycle to cycle, by probe
declare -A paths=() every=() limit=() interpreter=()                    # said by the probe's source
declare -A running=() began=() uptimes=() reason=() seconds=() texts=() # this cycle; running: process -> probe
names=() due=() light=() steady=() known_rows=() spool=''
failed=0 watchdog='' temporary='' worker=0
# Shipped, in Bash, and asking nothing but /proc, /sys and local disks: read by the runner's own subshell.
readonly read_here=' accounts cpu disk diskio load memory network pressure processes raid temperature uptime users '

die() { # <words>: one line for the administrator
  printf 'probes/run.sh: %s\n' "$*" >&2
  exit 1
}

take_settings() { # sets here, data, folders, first and now; the probes get nothing of ours that is not theirs
  local name=${BASH_SOURCE[0]}
  here=${name%/*}
  [[ $name == */* ]] || here=.
  cd -P -- "$here"
  here=$PWD
  cd .. # relative paths are meant from the repository
  data=${VIGIE_DATA:-data} data=${data%/}
  [[ $data == /* ]] || data="$PWD/$data"
  [[ ! -g $data || $(stat -c %a -- "$data") != 2770 ]] || umask 007 # two users of one group: archive/rights.py
  IFS=: read -r -a folders <<<"${VIGIE_PROBES:-$here}"
  first=${VIGIE_FIRST:-0} now=${VIGIE_NOW:-}
  for name in "${!VIGIE_@}"; do
    # Not unset: whoever sources this needs them again.
    case $name in VIGIE_ROOT | VIGIE_HOMES_TEXT) ;; *) export -n "${name?}" ;; esac
  done
  export PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin" VIGIE_ROOT="${VIGIE_ROOT:-}"
}

open_folders() { # makes what is missing, refuses links, removes what a killed run left
  local path
  local -a old=()
  if [[ -L $data/run || -L $data/spool || -L $data/probes || -L $data/run/out || -L $data/run/state || -L $data/run/cycle ||
    ! -w $data/run/out || ! -w $data/run/state || ! -w $data/spool || ! -w $data/probes || ! -w $data/run || ! -w $data ]]; then
    for path in "$data" "$data/"{run,run/out,run/state,spool,probes}; do
      [[ $path == "$data" || ! -L $path ]] || die "$path is a symbolic link: remove it"
      [[ -d $path ]] || mkdir -p -- "$path" || die "cannot make the folder $path"
      [[ -w $path ]] || die "cannot write in $path"
    done
    [[ ! -L $data/run/cycle ]] || die "$data/run/cycle is a symbolic link: remove it"
  fi
  old=("$data"/spool/.*.tmp "$data"/run/out/*.prom)
  for path in "$data"/run/out/{read,text}; do [[ ! -L $path ]] || old+=("$path"); done
  ((${#old[@]} == 0)) || rm -f -- "${old[@]}" || die "cannot remove old files in $data/run/out or $data/spool"
}

read_clock() { # sets boot and uptime, before the probes read their counters
  boot=unknown
  { read -r uptime _ <"$VIGIE_ROOT/proc/uptime"; } 2>/dev/null || die "cannot read $VIGIE_ROOT/proc/uptime: is /proc mounted?"
  { read -r boot <"$VIGIE_ROOT/proc/sys/kernel/random/boot_id"; } 2>/dev/null || true
}

recall() { # what the cycle before left in data/run/cycle: how many cycles each still waits, and what was running
  local name
  local -a rows=()
  left=() pids=() starts=() sinces=()
  [[ -r $data/run/cycle ]] || return 0
  mapfile -t rows <"$data/run/cycle"
  for name in "${rows[@]}"; do
    [[ $name =~ ^([A-Za-z0-9_-]+)\ ([0-9]+)\ ([0-9]+)\ ([0-9]+)\ ([0-9]+)$ ]] || continue
    name=${BASH_REMATCH[1]}
    left[$name]=${BASH_REMATCH[2]} pids[$name]=${BASH_REMATCH[3]} starts[$name]=${BASH_REMATCH[4]} sinces[$name]=${BASH_REMATCH[5]}
  done
}

remember() { # those that are read at every cycle need it only when one of them still runs
  local name text=''
  for name in "${names[@]}"; do
    text+="$name ${left[$name]} ${pids[$name]:-0} ${starts[$name]:-0} ${sinces[$name]:-0}"$'\n'
  done
  for name in "${steady[@]}"; do
    [[ ${pids[$name]:-0} == 0 ]] || text+="$name 1 ${pids[$name]} ${starts[$name]} ${sinces[$name]}"$'\n'
  done
  { printf '%s' "$text" >|"$data/run/cycle"; } 2>/dev/null || die "cannot write $data/run/cycle (disk full, or read-only?)"
}

find_probes() { # a later folder's probe replaces an earlier one of the same name
  local folder path name fresh=1 seen='' table='' all=' '
  local -a found=()
  ! recall_probes || return 0
  for folder in "${folders[@]}"; do
    if [[ ! -d $folder ]]; then
      printf 'probes/run.sh: VIGIE_PROBES: there is no folder %s\n' "$folder" >&2
      failed=1 fresh=0
      continue
    fi
    [[ $data/run/cycle -nt $folder ]] || fresh=0
    for path in "$folder"/*; do
      [[ -f $path && ! $path -ef $here/run.sh && $path != *.prom && $path != *[~#] ]] || continue
      [[ $path == /* ]] || path="$PWD/$path"
      [[ $data/run/cycle -nt $path && $path != *[$'\n\t']* ]] || fresh=0
      if [[ ! -x $path ]]; then
        seen+="-$path"$'\n'
        continue
      fi
      seen+="$path"$'\n'
      name=${path##*/} name=${name%.*} name=${name//[!A-Za-z0-9_-]/_}
      [[ $all == *" $name "* ]] || found+=("$name")
      all+="$name "
      read_source "$name" "$path"
    done
  done
  names=() steady=()
  for name in "${found[@]}"; do
    if [[ $read_here == *" $name "* && ${paths[$name]} == "$here/$name.sh" && ${every[$name]} == 1 ]]; then
      steady+=("$name")
    else
      names+=("$name")
      ((${left[$name]:-0} <= every[$name])) || left[$name]=0 # EVERY was made shorter
    fi
    table+="$name"$'\t'"${every[$name]}"$'\t'"${limit[$name]}"$'\t'"${interpreter[$name]}"$'\t'"${paths[$name]}"$'\n'
  done
  # Kept only when all of it is older than the cycle before: what changes while it is read is read again.
  ((fresh)) || seen=''
  { printf '%s\n' "${folders[*]}" "${steady[*]}" "${names[*]}" "${seen%$'\n'}" '' "${table%$'\n'}" end >|"$data/run/probes"; } 2>/dev/null || true
}

recall_probes() { # what was read of the sources before, while none of them has changed; 1 when they must be read
  local path known="$data/run/probes" i=0
  local -a rows=()
  # Where the dashboard's user may write here too (archive/rights.py), it must not say what is run.
  [[ -s $known && ! -L $known && ! -g $data ]] || return 1
  for path in "${folders[@]}"; do [[ $known -nt $path ]] || return 1; done
  mapfile -t rows <"$known"
  [[ ${rows[0]} == "${folders[*]}" && ${rows[-1]} == end && -n ${rows[3]} ]] || return 1
  for path in "${rows[@]:3}"; do
    [[ -n $path ]] || break
    ((i += 1))
    [[ -x $path && $known -nt $path || ($path == -* && ! -x ${path#-}) ]] || return 1
  done
  read -r -a steady <<<"${rows[1]}"
  read -r -a names <<<"${rows[2]}"
  known_rows=("${rows[@]:i+4}")
}

know() { # <name>: what its source said, when that is still only remembered
  local row
  [[ -z ${paths[$1]:-} ]] || return 0
  for row in "${known_rows[@]}"; do
    [[ $row == "$1"$'\t'* ]] || continue
    row=${row#*$'\t'}
    every[$1]=${row%%$'\t'*} row=${row#*$'\t'}
    limit[$1]=${row%%$'\t'*} row=${row#*$'\t'}
    interpreter[$1]=${row%%$'\t'*} paths[$1]=${row#*$'\t'}
    return
  done
}

read_source() { # <name> <path>: sets its path, every, limit and interpreter
  local source='' value
  IFS= read -r -N 65536 source <"$2" 2>/dev/null || true
  paths[$1]=$2 every[$1]=1 limit[$1]=10 interpreter[$1]=''
  [[ ! $source =~ $'\n# EVERY '([1-9][0-9]{0,3})$'\n' ]] || every[$1]=${BASH_REMATCH[1]}
  [[ ! $source =~ $'\n# LIMIT '([1-9][0-9]{0,2})$'\n' ]] || limit[$1]=${BASH_REMATCH[1]}
  # What `env` would look for, `timeout` looks for as well: one program less to start.
  value=${source:0:100} value=${value%%$'\n'*}
  [[ ! $value =~ ^\#!/usr/bin/env\ (-S\ )?([A-Za-z0-9 _-]+)$ ]] || interpreter[$1]=${BASH_REMATCH[2]}
}

start_time() { # <process>: in REPLY; status 1 when there is none, or only its remains
  local -a fields=()
  { read -r -a fields <"/proc/$1/stat"; } 2>/dev/null || return 1
  REPLY=${fields[21]:-0}
  [[ ${fields[2]:-} != Z ]]
}

start() { # <name>: a process of its own
  local out="$data/run/out/$1" state="$data/run/state/$1"
  local -a command=()
  read -r -a command <<<"${interpreter[$1]}"
  [[ -d $state ]] || mkdir -- "$state" || die "cannot make the folder $state"
  # A grandchild of an earlier cycle may still hold the file.
  [[ ! -e $out.err && ! -L $out.err ]] || rm -f -- "$out.err" || die "cannot remove $out.err"
  began[$1]=${EPOCHREALTIME/./}
  # Its counters are divided by the time since it was started last: the reading is taken beside theirs.
  { read -r "uptimes[$1]" _ <"$VIGIE_ROOT/proc/uptime"; } 2>/dev/null || uptimes[$1]=$uptime
  VIGIE_STATE=$state timeout -k 2 "${limit[$1]}" "${command[@]}" "${paths[$1]}" 2>"$out.err" >"$out.prom" </dev/null 9>&- &
  running[$!]=$1 left[$1]=${every[$1]} pids[$1]=$! sinces[$1]=$EPOCHSECONDS
  start_time $! || REPLY=0
  starts[$1]=$REPLY
}

start_due() {
  local name
  running=() began=() reason=() due=() light=() texts=()
  # A probe's text has at most 1 MB; the cycle as a whole may have more. A lower limit of the caller's stands.
  ulimit -S -f 1024 2>/dev/null || true
  for name in "${names[@]}"; do
    left[$name]=$((${left[$name]:-0} - 1))
    ((left[$name] <= 0)) || continue
    due+=("$name") seconds[$name]=0.000
    know "$name"
    if still_runs "$name"; then
      continue
    elif [[ $read_here == *" $name "* && ${paths[$name]} == "$here/$name.sh" ]]; then
      left[$name]=${every[$name]} pids[$name]=0 starts[$name]=0 sinces[$name]=0
      light+=("$name")
    else
      start "$name"
    fi
  done
  for name in "${steady[@]}"; do
    due+=("$name")
    if [[ ${pids[$name]:-0} == 0 ]]; then
      light+=("$name")
    elif ! still_runs "$name"; then
      pids[$name]=0
      light+=("$name")
    fi
  done
  read_light
  ulimit -S -f hard
}

still_runs() { # <name>: since an earlier cycle
  [[ ${pids[$1]:-0} != 0 ]] && start_time "${pids[$1]}" && [[ $REPLY == "${starts[$1]}" ]] || return 1
  seconds[$1]=0.000
  TZ=UTC printf -v "reason[$1]" 'still running since %(%FT%TZ)T' "${sinces[$1]}"
}

# --- Probes that are read rather than started ---

read_light() { # all of light, in as few subshells as they let themselves be read in
  local name status i
  local -a rest=("${light[@]}") said=()
  while ((${#rest[@]})); do
    work "${rest[@]}"
    status=$REPLY
    mapfile -d '' -t said <"$data/run/out/read" # "when it began, uptime", its text, microseconds; then the next
    for ((i = 0; i + 3 <= ${#said[@]}; i += 3)); do
      name=${rest[i / 3]} texts[$name]=${said[i + 1]} uptimes[$name]=${said[i]#* }
      tell_seconds "$name" "${said[i + 2]}"
      [[ -n ${said[i + 1]} ]] || reason[$name]='it printed nothing'
    done
    rest=("${rest[@]:i/3}")
    ((${#rest[@]})) || return 0
    # The one that was being read is the one that ended the subshell.
    name=${rest[0]} rest=("${rest[@]:1}")
    know "$name"
    if ((i >= ${#said[@]})); then
      seconds[$name]=0.000 reason[$name]="could not be read (status $status)"
    elif ((status == 75)); then
      start "$name" # it has to ask somebody who may not answer
    else
      began[$name]=${said[i]% *} uptimes[$name]=${said[i]#* }
      printf '%s' "${said[i + 1]:-}" >|"$data/run/out/$name.prom"
      end "$name" "$status"
      start_time "$worker" || continue
      reason[$name]+=" and cannot be killed (process $worker)"
      pids[$name]=$worker starts[$name]=$REPLY sinces[$name]=$EPOCHSECONDS
    fi
  done
}

work() { # <name>...: in REPLY the status that ended the subshell, 124 when it was its time limit
  local ear mouth status=0 patience=10 name
  for name in "$@"; do ((patience >= ${limit[$name]:-10})) || patience=${limit[$name]}; done
  : >|"$data/run/out/read" || die "cannot write $data/run/out/read (disk full, or read-only?)"
  # A pipe that ends when the subshell and whom it started have ended. A FIFO costs no process, a substitution one.
  if [[ -p $data/run/pipe && ! -L $data/run/pipe ]] || mkfifo -- "$data/run/pipe" 2>/dev/null; then
    exec {mouth}<>"$data/run/pipe"
    exec {ear}<"$data/run/pipe"
  else
    exec {mouth}<> <(:)
    exec {ear}<"/dev/fd/$mouth"
  fi
  set -m # a process group of its own
  read_all "$@" </dev/null {ear}<&- 9>&- &
  worker=$!
  set +m
  exec {mouth}>&-
  read -r -t "$patience" -u "$ear" _ || status=$?
  if ((status > 128)); then
    kill -KILL -- "-$worker" 2>/dev/null || true
    status=0
    read -r -t 3 -u "$ear" _ || status=$?
    ((status > 128)) || wait "$worker" 2>/dev/null || true
    REPLY=124
  else
    REPLY=0
    wait "$worker" 2>/dev/null || REPLY=$?
  fi
  exec {ear}<&-
}

read_all() { # <name>...: the subshell. Its own names begin with work_: the probes' may be any other
  local work_here=$here work_state="$data/run/state" work_out="$data/run/out" work_began
  trap - EXIT INT TERM HUP
  set +m +o noclobber
  exec >"$work_out/read"
  while (($#)); do
    export VIGIE_STATE=$work_state/$1
    [[ -d $VIGIE_STATE ]] || mkdir -- "$VIGIE_STATE"
    shopt -u nullglob
    set +f
    IFS=$' \t\n' work_began=${EPOCHREALTIME/./}
    read -r uptime _ <"$VIGIE_ROOT/proc/uptime"
    printf '%s %s\0' "$work_began" "$uptime"
    # shellcheck disable=SC1090 # a shipped probe
    . "$work_here/$1.sh" 2>"$work_out/$1.err"
    printf '\0%s\0' "$((${EPOCHREALTIME/./} - work_began))"
    shift
  done
}

wait_all() { # each until it ends, or for 3 s more than its limit; counts the time without a clock that may be set
  local ended status name pid next waited=0
  while ((${#running[@]})); do
    # Who ended while others were waited for is never told by `wait -n` again.
    for pid in "${!running[@]}"; do
      ! kill -0 "$pid" 2>/dev/null || continue
      status=0
      wait "$pid" 2>/dev/null || status=$?
      end "${running[$pid]}" "$status"
      unset "running[$pid]"
    done
    ((${#running[@]})) || break
    if [[ -z $watchdog ]]; then
      next=99999
      for name in "${running[@]}"; do
        ((next <= limit[$name] + 3)) || next=$((limit[$name] + 3))
      done
      sleep $((next - waited)) >/dev/null 2>&1 9>&- &
      watchdog=$!
    fi
    ended='' status=0
    wait -n -p ended "${!running[@]}" "$watchdog" 2>/dev/null || status=$?
    if [[ -n ${running[${ended:-0}]:-} ]]; then
      end "${running[$ended]}" "$status"
      unset "running[$ended]"
      continue
    fi
    watchdog='' waited=$next
    for pid in "${!running[@]}"; do # not even SIGKILL ended it: it waits for a device or a server
      name=${running[$pid]}
      ((limit[$name] + 3 <= waited)) || continue
      end "$name" 124
      reason[$name]+=" and cannot be killed (process $pid)"
      unset "running[$pid]"
    done
  done
  # KILL, because a child so young that it is still this shell would run our trap for TERM.
  [[ -z $watchdog ]] || { kill -KILL "$watchdog" && wait "$watchdog"; } 2>/dev/null || true
  watchdog=''
}

end() { # <name> <status>
  local line='' spent=$((${EPOCHREALTIME/./} - began[$1]))
  local -a said=()
  tell_seconds "$1" "$spent"
  if (($2 == 124 || ($2 == 137 && spent >= limit[$1] * 1000000))); then
    reason[$1]="timed out after ${limit[$1]} s"
  elif (($2)); then
    { mapfile -t said <"$data/run/out/$1.err"; } 2>/dev/null || true
    line=${said[0]:-}
    [[ $line != Traceback* ]] || line=${said[-1]} # Python says what it was last
    line=${line//[[:cntrl:]]/} line=${line//\"/\'}
    reason[$1]=${line:0:200}
    [[ -n $line ]] || reason[$1]="ended with status $2 and no explanation"
  else
    read_text "$1"
  fi
}

tell_seconds() { # <name> <microseconds>
  local spent=$2
  ((spent >= 0)) || spent=0 # the clock was set back
  printf -v "seconds[$1]" '%d.%03d' $((spent / 1000000)) $((spent / 1000 % 1000))
}

read_text() { # <name>: sets its text, or the reason why this is not one
  local text=''
  if IFS= read -r -d '' text <"$data/run/out/$1.prom"; then
    reason[$1]='its text holds a NUL byte'
  elif [[ -z $text ]]; then
    reason[$1]='it printed nothing'
  fi
  [[ $text == *$'\n' ]] || text+=$'\n'
  texts[$1]=$text
}

write_spool() {
  local name target cycle=$at body=''
  local -a rows=()
  for name in "${due[@]}"; do
    # It would forge a section.
    [[ -n ${reason[$name]:-} || $'\n'${texts[$name]} != *$'\n# VIGIE'* ]] || reason[$name]='a line of its text begins with # VIGIE'
    if [[ -n ${reason[$name]:-} ]]; then
      body+="# VIGIE probe=$name status=failed seconds=${seconds[$name]} uptime=${uptimes[$name]:-$uptime} reason=\"${reason[$name]}\""$'\n'
    else
      body+="# VIGIE probe=$name status=ok seconds=${seconds[$name]} uptime=${uptimes[$name]}"$'\n'${texts[$name]}
    fi
  done
  target="$data/spool/$cycle.prom"
  while [[ -e $target || -L $target ]]; do # two cycles in one second: the later one counts for the next second
    target="$data/spool/$((cycle += 1)).prom"
  done
  temporary="$data/spool/.$cycle.$$.tmp"
  if ! { printf '%s' "$body" >"$temporary" && mapfile -t rows <"$temporary" &&
    printf '# VIGIE lines=%d bytes=%d cycle=%s boot=%s uptime=%s\n' "${#rows[@]}" "${#body}" "$cycle" "$boot" "$uptime" >>"$temporary" &&
    sync -- "$temporary"; } 2>/dev/null || ! mv -nT -- "$temporary" "$target" || [[ -e $temporary ]]; then
    die "cannot write $target (disk full, or read-only?)"
  fi
  temporary=$target # until its name is on the disk too
  sync -- "$data/spool" || die "cannot write $target (disk full, or read-only?)"
  # shellcheck disable=SC2034 # for whoever sources this
  temporary='' spool=$target
}

show() { # data/probes/: renamed, so that nobody reads half a text; not synced: it is made anew at every cycle
  local name
  local -a good=()
  for name in "${due[@]}"; do
    [[ -z ${reason[$name]:-} ]] || continue
    [[ ! -L $data/run/out/$name.prom ]] || rm -f -- "$data/run/out/$name.prom"
    { printf '%s' "${texts[$name]}" >|"$data/run/out/$name.prom"; } 2>/dev/null || die "cannot write in $data/run/out (disk full, or read-only?)"
    good+=("$data/run/out/$name.prom")
  done
  ((${#good[@]} == 0)) || mv -f -t "$data/probes" -- "${good[@]}" || die "cannot write in $data/probes"
}

run_cycle() { # <time of the cycle>
  at=$1
  export VIGIE_NOW=$at
  open_folders
  read_clock
  recall
  find_probes
  start_due
  remember
  wait_all
  write_spool
  [[ ${BASH_SOURCE[0]} != "$0" ]] || show # else whoever archives the cycle does it
  due=()
}

# shellcheck disable=SC2317 # called by the trap
clean_up() { # whatever ends us, nothing of ours stays behind
  local status=$?
  local -a jobs=()
  if ((${#due[@]})); then # between two commands a probe may run that is not yet in our list, but it is in the shell's
    read -r -d '' -a jobs <<<"$(jobs -p)" || true
    # By group too: a `timeout` that has only just forked knows nothing of its child yet.
    ((${#jobs[@]} == 0)) || kill -- "${jobs[@]/#/-}" "${jobs[@]}" 2>/dev/null || true
  fi
  [[ -z $temporary ]] || rm -f -- "$temporary"
  if ((status)) && [[ ${BASH_SOURCE[0]} != "$0" ]]; then probes_failed "$status"; fi
}

disown -a # of whoever sources this
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
take_settings
[[ ! -e $data/run/cycle ]] || first=0
run_cycle "${now:-$EPOCHSECONDS}"
if [[ $first == 1 ]]; then # counters say nothing until they are read twice
  sleep 1
  run_cycle "$((at + 1))"
fi
[[ ${BASH_SOURCE[0]} != "$0" ]] || exit "$failed"
