#!/usr/bin/env bash
# Bytes received and sent by each network device; not the loopback, nor the ends of containers' and machines' cables,
# which come and go by the dozen and count the same bytes again.
set -euo pipefail
export LC_ALL=C

received='' sent='' headers=0
while read -r device bytes _ _ _ _ _ _ _ out _; do
  if ((headers < 2)); then
    ((headers += 1))
    continue
  fi
  [[ $device == *: && $bytes =~ ^[0-9]+$ && $out =~ ^[0-9]+$ ]] ||
    { echo "network.sh: a line of /proc/net/dev is not as expected" >&2 && exit 1; }
  case $device in lo: | veth* | cali* | lxc* | tap* | vnet* | ifb* | dummy*) continue ;; esac
  device=${device%:} device=${device//[!A-Za-z0-9._@+-]/_}
  received+="network_receive_bytes_total{device=\"$device\"} $bytes"$'\n'
  sent+="network_transmit_bytes_total{device=\"$device\"} $out"$'\n'
done <"${VIGIE_ROOT:-}/proc/net/dev"

if [[ -z $received ]]; then
  echo "# UNAVAILABLE there is no network device"
else
  printf '%s' "# HELP network_receive_bytes_total Network, received
# HELP.fr network_receive_bytes_total Réseau, reçu
# TYPE network_receive_bytes_total counter
$received# HELP network_transmit_bytes_total Network, sent
# HELP.fr network_transmit_bytes_total Réseau, envoyé
# TYPE network_transmit_bytes_total counter
$sent"
fi
