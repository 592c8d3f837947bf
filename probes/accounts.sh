#!/usr/bin/env bash
# Accounts that a person can log in with, connected or not: those whose shell is one of /etc/shells. Root too.
set -euo pipefail
export LC_ALL=C

escape() { # <text>: as a label's value, in REPLY; what cannot be seen is written as \x..
  local i byte
  REPLY=${1//\\/\\\\} REPLY=${REPLY//\"/\\\"}
  [[ $REPLY == *[![:print:]]* ]] || return 0
  # Accents are not "printable" here; they stay when they are well-formed UTF-8.
  local utf8=$'^([\x01-\x7f]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})*$' text=$REPLY kept='[:cntrl:]'
  [[ $text =~ $utf8 ]] || kept=$'[:cntrl:]\x80-\xff'
  REPLY=''
  for ((i = 0; i < ${#text}; i++)); do
    byte=${text:i:1}
    [[ $byte != [$kept] ]] || printf -v byte '\\\\x%02x' "'$byte"
    REPLY+=$byte
  done
}

declare -A shells=()
rows=()
{ mapfile -t rows <"${VIGIE_ROOT:-}/etc/shells"; } 2>/dev/null || true
for shell in "${rows[@]}"; do
  [[ $shell != /* ]] || shells[$shell]=1
done

accounts_in_files() { # whether /etc/passwd holds them all: no directory is named, and no homes of systemd-homed are served
  local row source
  rows=()
  { mapfile -t rows <"${VIGIE_ROOT:-}/etc/nsswitch.conf"; } 2>/dev/null || return 1
  [[ ! -e ${VIGIE_ROOT:-}/run/systemd/userdb/io.systemd.Home ]] || return 1
  for row in "${rows[@]}"; do
    [[ $row == passwd:* ]] || continue
    for source in ${row#passwd:}; do
      [[ $source == files || $source == systemd ]] || return 1
    done
    return 0
  done
  return 1
}

accounts=''
if [[ -n ${VIGIE_ROOT:-} ]] || ! command -v getent >/dev/null || { [[ ${BASH_SOURCE[0]} != "$0" ]] && accounts_in_files; }; then
  IFS= read -r -d '' accounts <"${VIGIE_ROOT:-}/etc/passwd" || true
  accounts=${accounts%$'\n'}
elif [[ ${BASH_SOURCE[0]} != "$0" ]]; then
  return 75 # a server may have to be asked, which is not for the runner's own shell
else
  accounts="$(getent passwd)" # the directory's accounts too, where it lets itself be listed
fi

count=0 facts=''
while IFS=: read -r user _ uid gid _ home shell; do
  [[ -n $user && $uid =~ ^[0-9]+$ && $gid =~ ^[0-9]+$ && $home$shell != *:* ]] ||
    { echo "accounts.sh: a line of the list of accounts is not as expected" >&2 && exit 1; }
  shell=${shell:-/bin/sh}
  case $shell in */nologin | */false) continue ;; esac
  [[ ${#shells[@]} -eq 0 || -n ${shells[$shell]:-} ]] || continue
  escape "$user" && user=$REPLY
  escape "$home" && home=$REPLY
  escape "$shell"
  facts+="account_info{user=\"$user\",uid=\"$uid\",home=\"$home\",shell=\"$REPLY\"} 1"$'\n'
  ((count += 1))
done <<<"$accounts"

printf '%s' "# HELP accounts Accounts one can log in with
# EVERY 5
# HELP.fr accounts Comptes permettant d’ouvrir une session
# TYPE accounts gauge
accounts $count
$facts"
