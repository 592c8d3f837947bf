#!/usr/bin/env bash
# CPU, memory and processes of each user, from /proc.
#
# CPU is not a sum over the processes of the moment: those that ended would vanish, and a sum that falls is no counter.
# So what each process used since the previous reading is added up, in VIGIE_STATE:
#
# 1. Whoever is in user-UID.slice (a session or a user's service under systemd) is counted by the kernel, the dead and
#    the short-lived included: the slice's cpu.stat. Its processes are not counted again, whatever their user (sudo).
# 2. Of every other process: the difference to the previous reading, known by its number and its start. One that is new
#    counts whole. What its ended children used (the kernel adds it up once they are waited for) counts for the same
#    user, less what was counted of them while they lived. Not for root: cron and sshd wait for everyone's children.
# 3. What the machine was busy with beyond that is "unattributed": processes that lived and died between two readings,
#    and the kernel's own interrupts.
#
# The first reading counts nothing. Memory is what a process holds alone (RssAnon), so that a library or a database's
# shared buffers count for nobody. One awk reads it all: Bash takes five times as long, a Python needs as long to start.
# The account stands in two files written in turn, so that one that was cut costs nothing but the reading it held.
set -euo pipefail
export LC_ALL=C

# shellcheck disable=SC2016 # awk's own $
processes_program='
function slurp(path,   record, text) { # with RS "\001": a name may hold any byte, newlines too
  if ((getline text < path) <= 0) { close(path); return "" }
  # Whether there is more is asked only where the text does not end as /proc ends its files (no name is that long).
  if (length(text) < 80 || text !~ /[0-9]\n$/) while ((getline record < path) > 0) text = text "\001" record
  close(path)
  return text
}
function refuse(words) { print "processes.sh: " words > "/dev/stderr"; exit 1 }
function whole(text) { return text ~ /^[0-9]+$/ }

function read_machine(   line, f) {
  if ((getline line < "stat") <= 0) refuse(ENVIRON["VIGIE_ROOT"] "/proc/stat cannot be read")
  close("stat")
  if (split(line, f) < 9 || f[1] != "cpu") refuse("/proc/stat does not begin as expected")
  busy = (f[2] + f[3] + f[4] + f[7] + f[8]) * TICK # microseconds, all cores
  getline line < "uptime"; close("uptime")
  at = int(int(line * 1000000 + 0.5) / TICK)
  getline boot < "sys/kernel/random/boot_id"; close("sys/kernel/random/boot_id")
  sub(/ +$/, "", boot)
  getline line < "meminfo"; close("meminfo")
  if (split(line, f) < 2 || f[1] != "MemTotal:") refuse("/proc/meminfo does not begin with MemTotal")
  size = f[2] * 1024
}
function read_process(pid,   text, f, g, owner, place_of) {
  text = slurp(pid "/stat")
  # The name stands in parentheses and may hold spaces and parentheses itself.
  if (!sub(/^.*\) /, "", text) || split(text, f, " ") < 20) { unread = unread " " pid; return }
  owner = 0; memory[pid] = 0
  # Threads of the kernel (PF_KTHREAD) are root, and hold nothing.
  if (int(f[7] / 2097152) % 2 == 0) {
    text = slurp(pid "/status")
    # A newline in the name is written \n here: no other line can look like these.
    place_of = index(text, "\nUid:\t")
    if (!place_of || split(substr(text, place_of + 6, 40), g, "\t") < 2) { unread = unread " " pid; return }
    owner = g[2] + 0 # the effective one
    place_of = index(text, "\nRssAnon:")
    if (place_of) memory[pid] = substr(text, place_of + 9, 24) * 1024
  }
  start[pid] = f[20] + 0; uid[pid] = owner; parent[pid] = f[2] + 0
  own[pid] = f[12] + f[13]; children[pid] = f[14] + f[15]
}
function read_slice(argument,   colon, which, path, line) { # UID:NUMBER OF ITS FOLDER:PATH
  colon = index(argument, ":"); id = substr(argument, 1, colon - 1); path = substr(argument, colon + 1)
  colon = index(path, ":"); which = substr(path, 1, colon - 1); path = substr(path, colon + 1) "/cpu.stat"
  while ((getline line < path) > 0)
    if (line ~ /^usage_usec [0-9]+$/) { slice[id] = substr(line, 12) + 0; slice_which[id] = which; slices++ }
  close(path)
}

# The account: "boot at busy since unattributed serial", then u(ser) uid used, s(lice) uid which used,
# p(rocess) pid start parent own children where ("+" in a slice, "-" not, "?" not known yet), then end.
function newer(a, b) { return head[a, 1] == boot && (head[b, 1] != boot || head[a, 6] > head[b, 6] + 0) }
function peek(which,   line, f, i) {
  if ((getline line < account[which]) > 0 && split(line, f, " ") >= 5) for (i = 1; i <= 6; i++) head[which, i] = f[i]
  close(account[which])
}
function load(which,   line, f, n, i) { # 1 when it is of this start of the machine, and whole
  if (head[which, 1] != boot) return 0
  for (i = 2; i <= 5; i++) if (head[which, i] !~ /^-?[0-9]+$/) return 0
  split("", used_before); split("", old_slice); split("", old_start)
  getline line < account[which]
  while ((getline line < account[which]) > 0) {
    if (line == "end") { close(account[which]); return 1 }
    n = split(line, f, " ")
    if (f[1] == "p" && n == 7 && whole(f[3]) && whole(f[5]) && whole(f[6])) {
      old_start[f[2]] = f[3] + 0; old_parent[f[2]] = f[4] + 0; old_own[f[2]] = f[5] + 0
      old_children[f[2]] = f[6] + 0; old_where[f[2]] = f[7]
    } else if (f[1] == "u" && n == 3 && whole(f[3])) used_before[f[2]] = f[3] + 0
    else if (f[1] == "s" && n == 4 && whole(f[4])) { old_which[f[2]] = f[3]; old_slice[f[2]] = f[4] + 0 }
    else if (f[1] != "n") break
  }
  close(account[which])
  return 0
}
function save(which,   file, i) {
  file = account[which]
  printf "%s %.0f %.0f %.0f %.0f %d\n", boot, at, busy, since, unattributed, head[last, 6] + 1 > file
  for (i in total) printf "u %s %.0f\n", i, total[i] > file
  for (i in slice) printf "s %s %s %.0f\n", i, slice_which[i], slice[i] > file
  for (i in start) printf "p %s %.0f %s %.0f %.0f %s\n", i, start[i], parent[i], own[i], children[i], where[i] > file
  print "end" > file
  close(file)
}

function of_the_dead(   pid, heir, steps) { # ticks counted already of who has ended, by the nearest ancestor that lives
  for (pid in old_start) if (!(pid in start) || start[pid] != old_start[pid]) dead[pid] = 1
  for (pid in dead) {
    heir = old_parent[pid]
    for (steps = 0; steps < 100 && (heir in dead); steps++) heir = old_parent[heir]
    if (old_where[pid] != "+") owed[heir] += old_own[pid] + old_children[pid]
  }
}
function place(pid, before,   text) { # asked once in a life: it costs as much as all the rest
  if (before != "?") return before
  if (parent[pid] == 2) return "-"
  if (!slices) return "?"
  RS = "\001"; text = slurp(pid "/cgroup"); RS = "\n"
  if (text == "") return "-"
  return index(text, "/user.slice/user-") ? "+" : at - start[pid] < YOUNG ? "?" : "-"
}
function add(   pid, i, ticks, more, own_before, children_before, before, sum) {
  for (i in slice) {
    if (slice_which[i] == "") slice_which[i] = (i in old_slice) ? old_which[i] : 0
    same = (i in old_slice) && (slice_which[i] == old_which[i] || !slice_which[i] || !old_which[i])
    used[i] = same && slice[i] >= old_slice[i] ? slice[i] - old_slice[i] : slice[i]
  }
  of_the_dead()
  for (pid in start) {
    if ((pid in old_start) && old_start[pid] == start[pid]) {
      own_before = old_own[pid]; children_before = old_children[pid]; before = old_where[pid]
    } else {
      # Whoever is older than the previous reading was hidden then: start from here.
      before = "?"
      own_before = start[pid] >= at_before - 1 ? 0 : own[pid]
      children_before = start[pid] >= at_before - 1 ? 0 : children[pid]
    }
    where[pid] = place(pid, before)
    if (where[pid] == "+") continue
    ticks = own[pid] > own_before ? own[pid] - own_before : 0
    if (uid[pid] && pid != 1) {
      more = children[pid] - children_before - owed[pid]
      if (more > 0) ticks += more
    }
    used[uid[pid]] += ticks * TICK
  }
  for (i in used_before) total[i] = used_before[i]
  for (i in used) { total[i] += used[i]; sum += used[i] }
  since += busy - busy_before - sum
  if (since > unattributed) unattributed = since
}
function learn(   pid, i) {
  for (pid in start) where[pid] = place(pid, "?")
  for (i in slice) if (slice_which[i] == "") slice_which[i] = 0
}

function read_names(   line, f, n) {
  while ((getline line < (ENVIRON["VIGIE_ROOT"] "/etc/passwd")) > 0)
    if (split(line, f, ":") > 2 && whole(f[3]) && !(f[3] + 0 in name)) name[f[3] + 0] = f[1]
  # Of the directory (LDAP, sssd), asked once; for a number that nobody knows again after an hour.
  while (state != "" && (getline line < (state "/names")) > 0) {
    n = index(line, " ")
    if (split(line, f, " ") < 2 || (f[1] in name)) continue
    line = substr(line, n + 1); sub(/^[0-9]+ ?/, "", line)
    if (line != "") name[f[1]] = line; else if (f[2] + 3600 > now) nameless[f[1]] = 1; else delete nameless[f[1]]
  }
}
function label(text,   i, c, code, left, out, first) { # what cannot be seen, and what is not UTF-8, is written as \x..
  text = substr(text, 1, 200)
  if (text !~ /[^ -~]/ && text !~ /[\\"]/) return text
  if (!("A" in ord)) for (i = 1; i < 256; i++) ord[sprintf("%c", i)] = i
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1); code = ord[c]
    left = code >= 240 && code < 245 ? 3 : code >= 224 ? 2 : 1
    if (c == "\\" || c == "\"") out = out "\\" c
    else if (code >= 32 && code < 127) out = out c
    else if (code >= 194 && code < 245 && tail(text, i, left)) { out = out substr(text, i, left + 1); i += left }
    else out = out sprintf("\\\\x%02x", code)
  }
  return out
}
function tail(text, i, left,   second, k) {
  for (k = 1; k <= left; k++) if (ord[substr(text, i + k, 1)] < 128 || ord[substr(text, i + k, 1)] > 191) return 0
  second = ord[substr(text, i + 1, 1)]; k = ord[substr(text, i, 1)]
  return !(k == 194 && second < 160) && !(k == 224 && second < 160) && !(k == 237 && second > 159) \
    && !(k == 240 && second < 144) && !(k == 244 && second > 143)
}
function print_all(   pid, i, j, n, user, order, text) {
  for (pid in start) { held[uid[pid]] += memory[pid]; count[uid[pid]]++; present[uid[pid]] = 1 }
  for (i in slice) present[i] = 1
  read_names()
  for (i in present) if (!(i in name) && !(i in nameless) && state != "" && ENVIRON["VIGIE_ROOT"] == "") {
    print i > (state "/unknown")
    ask = 1
  }
  if (ask) exit 75
  for (i in present) { # two numbers may have one name
    user = label((i in name) ? name[i] : i)
    if (!(user in row)) { # kept in order: there are few
      for (j = n++; j > 0 && order[j - 1] > user ""; j--) order[j] = order[j - 1]
      order[j] = user; row[user] = 1
    }
    row_used[user] += total[i]; row_held[user] += held[i]; row_count[user] += count[i]
  }
  printf "cpu_unattributed_seconds_total %.2f\n", unattributed / 1000000
  for (i = 0; i < n; i++) {
    user = order[i]; text = "{user=\"" user "\"} "
    printf "user_cpu_seconds_total%s%.2f\n", text, row_used[user] / 1000000
    printf "user_memory_bytes%s%.0f\n", text, row_held[user]
    printf "user_memory_ratio%s%.6f\n", text, (row_held[user] > size ? 1 : row_held[user] / size)
    printf "user_processes%s%d\n", text, row_count[user]
  }
}

BEGIN {
  TICK = 10000 # microseconds: the kernel counts hundredths of a second for everyone (USER_HZ)
  YOUNG = 300 # ticks: so soon after its start a process of a session may still be moved to its slice
  state = ENVIRON["VIGIE_STATE"]; now = ARGV[1]
  read_machine()
  RS = "\001"
  for (i = 2; i < ARGC; i++) if (whole(ARGV[i])) read_process(ARGV[i])
  RS = "\n"
  for (i = 2; i < ARGC; i++) if (!whole(ARGV[i])) read_slice(ARGV[i])
  account[1] = state "/account"; account[2] = state "/account.2"
  if (state != "") { peek(1); peek(2) }
  last = newer(2, 1) ? 2 : 1
  if (state != "" && (load(last) || load(last = 3 - last))) {
    known = 1
    at_before = head[last, 2]; busy_before = head[last, 3]; since = head[last, 4] + 0; unattributed = head[last, 5] + 0
    add()
  } else learn()
  print_all()
  if (!(1 in start)) print "processes_hidden_info 1"
  else if (unread != "" && state != "") print substr(unread, 2) > (state "/unread")
  if (state != "") save(3 - last)
}'

processes_slices() { # UID:NUMBER OF ITS FOLDER:PATH of each user's slice, in slices; 1 when there is none
  local base folder users="${VIGIE_ROOT:-}/run/systemd/users" ask=1
  local -a numbers=()
  for base in "${VIGIE_ROOT:-}"/sys/fs/cgroup/user.slice "${VIGIE_ROOT:-}"/sys/fs/cgroup/unified/user.slice; do
    for folder in "$base"/user-[0-9]*.slice; do
      [[ ! -r $folder/cpu.stat ]] || slices+=("$folder")
    done
  done
  ((${#slices[@]})) || return 0
  # A slice made anew begins at 0 again. logind renames a file in this folder whenever a user comes or goes: until then
  # the slices are those of the readings before.
  [[ ! -d $users || ! ${VIGIE_STATE:-}/account -nt $users || ! ${VIGIE_STATE:-}/account.2 -nt $users ]] || ask=0
  ((ask == 0)) || mapfile -t numbers < <(stat -c '%i %n' -- "${slices[@]}" 2>/dev/null)
  if ((ask)); then slices=("${numbers[@]}"); else slices=("${slices[@]/#/ }"); fi
  for base in "${!slices[@]}"; do
    folder=${slices[base]#* }
    numbers[base]=${folder##*/user-}
    slices[base]="${numbers[base]%.slice}:${slices[base]%% *}:$folder"
  done
}

processes_text() { # one reading, printed; 75: a user has to be asked for elsewhere first
  local pid status=0
  local -a slices=() unread=()
  processes_slices
  [[ -d ${VIGIE_ROOT:-}/proc ]] || { echo "processes.sh: ${VIGIE_ROOT:-}/proc cannot be read" >&2 && return 1; }
  (cd "${VIGIE_ROOT:-}/proc" && exec awk "$processes_program" "$EPOCHSECONDS" "${slices[@]}" [0-9]*) || return
  # Who is there and may not be read is hidden (hidepid); who is not there has just ended.
  [[ -e ${VIGIE_STATE:-/nowhere}/unread ]] || return 0
  read -r -a unread <"$VIGIE_STATE/unread" || true
  : >|"$VIGIE_STATE/unread"
  for pid in "${unread[@]}"; do
    if [[ -d ${VIGIE_ROOT:-}/proc/$pid && ! -r ${VIGIE_ROOT:-}/proc/$pid/stat ]]; then
      echo "processes_hidden_info 1"
      return
    fi
  done
}

processes_ask() { # the names of the users in VIGIE_STATE/unknown, by the system's own ways, which may ask a server
  local -a unknown=()
  local id line
  mapfile -t unknown <"$VIGIE_STATE/unknown"
  for id in "${unknown[@]}"; do
    line=''
    ! command -v getent >/dev/null || line=$(getent passwd "$id") || line=''
    line=${line%%:*}
    echo "$id $EPOCHSECONDS ${line//$'\n'/}" >>"$VIGIE_STATE/names"
  done
}

processes_head="# HELP user_cpu_seconds_total CPU by user
# HELP.fr user_cpu_seconds_total Processeur par utilisateur
# TYPE user_cpu_seconds_total counter
# WARN user_cpu_seconds_total > 0.9
# FOR user_cpu_seconds_total 360
# HELP cpu_unattributed_seconds_total CPU of no known user
# HELP.fr cpu_unattributed_seconds_total Processeur sans utilisateur connu
# TYPE cpu_unattributed_seconds_total counter
# HELP user_memory_bytes Memory by user
# HELP.fr user_memory_bytes Mémoire par utilisateur
# TYPE user_memory_bytes gauge
# HELP user_memory_ratio Share of memory by user
# HELP.fr user_memory_ratio Part de la mémoire par utilisateur
# TYPE user_memory_ratio gauge
# WARN user_memory_ratio > 0.5
# FOR user_memory_ratio 30
# HELP user_processes Processes by user
# HELP.fr user_processes Processus par utilisateur
# TYPE user_processes gauge
# HELP processes_hidden_info Other users’ processes are hidden from Vigie (hidepid)
# HELP.fr processes_hidden_info Les processus des autres sont cachés à Vigie (hidepid)"

if [[ -n ${VIGIE_STATE:-} ]]; then
  echo "$processes_head"
  status=0
  processes_text || status=$?
  if ((status == 75)); then
    # Within the runner's shell nobody is asked: the runner starts this probe as a process of its own.
    [[ ${BASH_SOURCE[0]} == "$0" ]] || return 75
    processes_ask
    processes_text
  elif ((status)); then
    exit "$status"
  fi
else # run by hand: two readings, a second apart
  VIGIE_STATE=$(mktemp -d)
  export VIGIE_STATE
  trap 'rm -rf -- "$VIGIE_STATE"' EXIT
  status=0
  processes_text >/dev/null || status=$?
  if ((status == 75)); then
    processes_ask
    processes_text >/dev/null
  elif ((status)); then
    exit "$status"
  fi
  [[ -n ${VIGIE_ROOT:-} ]] || sleep 1
  echo "$processes_head"
  processes_text
  if [[ -t 1 ]]; then
    while read -r kind id used; do
      [[ $kind == u && $used -gt 0 ]] || continue
      name=$(getent passwd "$id") || name=$id
      echo "${name%%:*}: $((used / 10000)) % of a core over one second" >&2
    done <"$VIGIE_STATE/account.2"
  fi
fi
