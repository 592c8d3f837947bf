#!/usr/bin/env bash
# Space and inodes of each real file system, once, and whether it has gone read-only.
#
# A file system of the network (or of a program: FUSE) may never answer. Each is asked by a process of its own, all at
# the same time, for 3 seconds; one that stays silent is said to be unreachable, the others are printed as ever. The
# process that is stuck is remembered in VIGIE_STATE, so that a server dead for a week costs one process, not ten
# thousand.
# shellcheck disable=SC2206 # fields are wanted apart; nothing is globbed (set -f)
set -euo pipefail
export LC_ALL=C

disk_refuse() { # <words>
  echo "disk.sh: $1" >&2
  exit 1
}

disk_unescape() { # <field>: in REPLY; mountinfo and fstab write space, tab, newline and backslash as \040, \011...
  REPLY=$1
  [[ $1 != *\\* ]] || printf -v REPLY %b "${1//\\/\\0}"
}

disk_label() { # <text>: in REPLY; by the rules of Prometheus, never endless; what is not UTF-8 or not seen as \x..
  local rest=${1:0:400} out='' byte
  if [[ $rest != *[!\ -~]* && $rest != *[\\\"]* ]]; then
    REPLY=$rest
    return
  fi
  local text=$'^([\xc3-\xdf][\x80-\xbf]|\xc2[\xa0-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})'
  while [[ -n $rest ]]; do
    byte=${rest:0:1}
    if [[ $rest =~ $text ]]; then
      out+=${BASH_REMATCH[0]} rest=${rest:${#BASH_REMATCH[0]}}
      continue
    fi
    rest=${rest:1}
    case $byte in
      $'\n') out+='\n' ;;
      [\\\"]) out+="\\$byte" ;;
      [\ -~]) out+=$byte ;;
      *) printf -v byte '\\\\x%02x' "'$byte" && out+=$byte ;;
    esac
  done
  REPLY=$out
}

# Not a disk, or full by nature, or another one seen through.
disk_not_disks=' autofs aufs bdev binfmt_misc bpf cgroup cgroup2 configfs cramfs debugfs devpts devtmpfs ecryptfs efivarfs'
disk_not_disks+=' erofs fusectl hugetlbfs iso9660 mqueue nfsd nsfs overlay proc pstore ramfs rpc_pipefs securityfs selinuxfs'
disk_not_disks+=' squashfs sysfs tmpfs tracefs fuse.archivemount fuse.gvfsd-fuse fuse.lxcfs fuse.portal fuse.snapfuse'
disk_not_disks+=' fuse.squashfuse '

disk_mounts() { # sets disk_points, disk_types, disk_own and disk_whole: each file system once, at its shortest point
  local line source known i type root="${VIGIE_ROOT:-}"
  local -a lines=() field=() right=()
  local -A fleeting=() chosen=()
  { mapfile -t lines <"$root/proc/self/mountinfo"; } 2>/dev/null || disk_refuse "$root/proc/self/mountinfo cannot be read"
  # Asking under an automount with a time-out would keep it mounted for ever.
  if [[ "${lines[*]}" == *' - autofs '* ]]; then
    for line in "${lines[@]}"; do
      [[ $line == *' - autofs '* && ,${line##* }, != *,timeout=0,* ]] || continue
      fleeting[${line%% *}]=1
    done
  fi
  for line in "${lines[@]}"; do
    type=${line#* - } type=${type%% *}
    [[ $disk_not_disks != *" $type "* ]] || continue
    [[ $line == *' - '* ]] || continue
    right=(${line#* - })
    field=(${line%% - *})
    ((${#field[@]} >= 6)) || disk_refuse "a line of /proc/self/mountinfo is not as expected"
    source=${right[1]:-}
    [[ -z ${fleeting[${field[1]}]:-} && $source != /dev/loop* ]] || continue
    disk_unescape "${field[4]}"
    [[ $REPLY != /snap/* && $REPLY != /var/lib/snapd/snap/* ]] || continue
    known=${chosen[${field[2]}]:-}
    [[ -z $known ]] || ((${#REPLY} < ${#disk_points[known]})) || continue
    i=${known:-${#disk_points[@]}}
    chosen[${field[2]}]=$i disk_points[i]=$REPLY disk_types[i]=${right[0]} disk_own[i]=,${field[5]}, disk_whole[i]=,${right[2]:-},
  done
}

disk_is_remote() { # <type>
  case $1 in
    9p | afs | beegfs | ceph | cifs | coda | fuse | fuseblk | gfs2 | glusterfs | gpfs | lustre | ncpfs | nfs) return 0 ;;
    nfs4 | ocfs2 | smb3 | smbfs | virtiofs | fuse.*) return 0 ;;
  esac
  return 1
}

disk_gone_readonly() { # <number>: read-only though nobody asked for it
  # After an error the kernel makes the whole file system read-only and leaves the mount's own options alone; `mount -o
  # ro` and `remount,ro` change both. So: the file system says ro (or ext4's emergency_ro) and the mount does not, or
  # both say ro although fstab has a line for it without ro.
  [[ ${disk_whole[$1]} != *,emergency_ro,* && ${disk_whole[$1]} != *,shutdown,* ]] || return 0
  [[ ${disk_whole[$1]} == *,ro,* ]] || return 1
  [[ ${disk_own[$1]} == *,ro,* ]] || return 0
  local -a rows=() field=()
  local row wanted=''
  { mapfile -t rows <"${VIGIE_ROOT:-}/etc/fstab"; } 2>/dev/null || return 1
  for row in "${rows[@]}"; do
    field=(${row//$'\t'/ })
    [[ ${#field[@]} -ge 4 && ${field[0]} != \#* ]] || continue
    disk_unescape "${field[1]}"
    [[ $REPLY != "${disk_points[$1]}" ]] || wanted=,${field[3]},
  done
  [[ -n $wanted && $wanted != *,ro,* ]]
}

disk_process_start() { # <process>: when it started, in the kernel's ticks, in REPLY; '' when there is none
  local -a field=()
  local line=''
  { IFS= read -r -d '' line <"/proc/$1/stat"; } 2>/dev/null || true
  field=(${line##*) })
  REPLY=${field[19]:-}
}

disk_ask_apart() { # <number>...: sets disk_space of those that answered in time; who did not is stuck
  local i pid ended watchdog status before='' now='' row point
  local folder=$disk_folder/ask.$$
  local -a rows=()
  local -A asked=() stuck=()
  if [[ -s $disk_folder/stuck ]]; then # the processes of earlier cycles that still wait: "process start point"
    mapfile -d '' -t rows <"$disk_folder/stuck"
    for row in "${rows[@]}"; do
      pid=${row%% *} row=${row#* } point=${row#* }
      [[ $pid =~ ^[0-9]+$ ]] || continue
      disk_process_start "$pid"
      [[ -n $REPLY && $REPLY == "${row%% *}" ]] || continue
      stuck[$point]="$pid $REPLY"
    done
    before=1
  fi
  mkdir -- "$folder"
  for i in "$@"; do
    [[ -z ${stuck[${disk_points[i]}]:-} ]] || continue
    # It lets go of our output, so that whoever reads it never waits for this process.
    stat -f -c "$disk_form" -- "${VIGIE_ROOT:-}${disk_points[i]}" >"$folder/$i" 2>/dev/null </dev/null &
    asked[$!]=$i
  done
  sleep 3 >/dev/null 2>&1 &
  watchdog=$!
  while ((${#asked[@]})); do
    ended='' status=0
    wait -n -p ended "${!asked[@]}" "$watchdog" || status=$?
    [[ -n $ended && $ended != "$watchdog" ]] || break
    i=${asked[$ended]}
    unset "asked[$ended]"
    if ((status == 0)); then
      read -r "disk_space[i]" <"$folder/$i" || true
    elif [[ ${disk_types[i]} == fuse* && "$(timeout -k 1 1 stat -f -c %S -- "${VIGIE_ROOT:-}${disk_points[i]}" 2>&1)" == *': Permission denied' ]]; then
      disk_space[i]='0 0 0 0 0 0' # someone's private mount: not ours to see
    fi
  done
  for pid in "${!asked[@]}"; do
    disk_process_start "$pid"
    [[ -z $REPLY ]] || stuck[${disk_points[asked[$pid]]}]="$pid $REPLY"
  done
  disown -a
  kill -KILL "$watchdog" "${!asked[@]}" 2>/dev/null || true
  for point in "${!stuck[@]}"; do now+=$point; done
  if [[ -n $now || -n $before ]]; then
    for point in "${!stuck[@]}"; do printf '%s %s\0' "${stuck[$point]}" "$point"; done >"$disk_folder/stuck.new"
    mv -f -- "$disk_folder/stuck.new" "$disk_folder/stuck"
  fi
  rm -rf -- "$folder"
}

disk_print() { # the lines of every mount, in disk_text
  local i name line used total
  local -a s=()
  local -A seen=()
  disk_text=''
  for i in "${!disk_points[@]}"; do
    disk_label "${disk_points[i]}"
    name="{mount=\"$REPLY\"}"
    [[ -z ${seen[$name]:-} ]] || continue # two endless names that were cut to the same
    seen[$name]=1
    s=(${disk_space[i]:-})
    [[ ${s[0]:-} != - ]] || continue
    if ((${#s[@]} != 6)); then
      disk_text+="mount_unreachable_info$name 1"$'\n'
    else                          # block size, blocks, free, free for users, inodes, free inodes
      ((s[0] * s[1])) || continue # not a disk
      used=$((s[1] - s[2])) total=$((s[1] - s[2] + s[3]))
      if ((total > 0)); then
        used=$(((2000000 * used + total) / (2 * total)))
        printf -v line 'disk_used_ratio%s %d.%06d\n' "$name" $((used / 1000000)) $((used % 1000000))
        disk_text+=$line
      fi
      disk_text+="disk_used_bytes$name $(((s[1] - s[2]) * s[0]))
disk_available_bytes$name $((s[3] * s[0]))
disk_size_bytes$name $((s[1] * s[0]))
"
      if ((s[4] > 0)); then # some (btrfs) have no fixed number of inodes and say 0
        used=$(((2000000 * (s[4] - s[5]) + s[4]) / (2 * s[4])))
        printf -v line 'disk_inodes_used_ratio%s %d.%06d\n' "$name" $((used / 1000000)) $((used % 1000000))
        disk_text+=$line
      fi
    fi
    if disk_gone_readonly "$i"; then line=1; else line=0; fi
    disk_text+="filesystem_readonly$name $line"$'\n'
  done
}

disk_main() { # 75: somebody has to be asked who may not answer, which is not for the runner's own shell
  local IFS=' ' i row path
  local -a local_ones=() remote=() rows=()
  disk_points=() disk_types=() disk_own=() disk_whole=() disk_space=()
  disk_mounts
  for i in "${!disk_points[@]}"; do
    path=${VIGIE_ROOT:-}${disk_points[i]}
    if disk_is_remote "${disk_types[i]}"; then
      remote+=("$i")
    elif [[ -f $path ]]; then # in a container: a file of the host, mounted alone
      disk_space[i]=-
    else
      local_ones+=("$i")
    fi
  done
  ((${#remote[@]} == 0)) || [[ ${BASH_SOURCE[0]} == "$0" ]] || return 75
  if ((${#local_ones[@]})); then
    local -a paths=()
    for i in "${local_ones[@]}"; do paths+=("${VIGIE_ROOT:-}${disk_points[i]}"); done
    mapfile -d '' -t rows < <(stat -f --printf "$disk_form %n\0" -- "${paths[@]}")
    local -A answer=()
    for row in "${rows[@]}"; do
      path=${row#* * * * * * }
      answer[$path]=${row%" $path"}
    done
    for i in "${local_ones[@]}"; do disk_space[i]=${answer[${VIGIE_ROOT:-}${disk_points[i]}]:-}; done
  fi
  if ((${#remote[@]})); then
    disk_folder=${VIGIE_STATE:-}
    if [[ -z $disk_folder ]]; then
      disk_folder=$(mktemp -d)
      trap 'rm -rf -- "$disk_folder"' EXIT
    fi
    disk_ask_apart "${remote[@]}"
  fi
  disk_print
}

disk_form='%S %b %f %a %c %d'
set -f
disk_status=0
disk_main || disk_status=$?
set +f
((disk_status == 0)) || return "$disk_status"
if [[ -z $disk_text ]]; then
  echo "# UNAVAILABLE no file system of a disk is mounted here (a container?)"
else
  printf '%s' "# HELP disk_used_ratio Disk space used
# HELP.fr disk_used_ratio Espace disque utilisé
# TYPE disk_used_ratio gauge
# WARN disk_used_ratio > 0.90
# CRIT disk_used_ratio > 0.97 and disk_available_bytes < 5e9
# CLEAR disk_used_ratio 0.85
# HELP disk_used_bytes Disk space used
# HELP.fr disk_used_bytes Espace disque utilisé
# TYPE disk_used_bytes gauge
# HELP disk_available_bytes Disk space available
# HELP.fr disk_available_bytes Espace disque disponible
# TYPE disk_available_bytes gauge
# HELP disk_size_bytes Disk size
# HELP.fr disk_size_bytes Taille du disque
# TYPE disk_size_bytes gauge
# HELP disk_inodes_used_ratio Inodes used
# HELP.fr disk_inodes_used_ratio Inodes utilisés
# TYPE disk_inodes_used_ratio gauge
# WARN disk_inodes_used_ratio > 0.90
# CRIT disk_inodes_used_ratio > 0.97
# CLEAR disk_inodes_used_ratio 0.85
# HELP filesystem_readonly File system gone read-only
# HELP.fr filesystem_readonly Système de fichiers passé en lecture seule
# TYPE filesystem_readonly gauge
# CRIT filesystem_readonly > 0
# HELP mount_unreachable_info File system that does not answer
# HELP.fr mount_unreachable_info Système de fichiers qui ne répond pas
$disk_text"
fi
