#!/usr/bin/env -S python3 -I -S
"""Bytes received and sent by each network device.

Not the loopback, nor the ends of containers' and machines' cables, which come and go by the dozen and count the same bytes again.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

RECEIVED = """\
# HELP network_receive_bytes_total Network, received
# HELP.fr network_receive_bytes_total Réseau, reçu
# TYPE network_receive_bytes_total counter
"""
SENT = """\
# HELP network_transmit_bytes_total Network, sent
# HELP.fr network_transmit_bytes_total Réseau, envoyé
# TYPE network_transmit_bytes_total counter
"""
CABLES = ("veth", "cali", "lxc", "tap", "vnet", "ifb", "dummy")
ALLOWED = reading.ALPHANUMERIC + "._@+-"


def text(root: str, _state: str, _alone: bool) -> str:
    received = sent = ""
    # Two lines of headings; the last one ends.
    for row in reading.slurp(f"{root}/proc/net/dev").removesuffix("\n").split("\n")[2:]:
        device, colon, numbers = row.partition(": ")
        device = device.lstrip(" ")
        figures = numbers.split(None, 9)
        if not colon or " " in device or len(figures) < 9 or not (reading.whole(figures[0] + figures[8])):
            raise reading.RefusedError("a line of /proc/net/dev is not as expected")
        if device == "lo" or device.startswith(CABLES):
            continue
        name = reading.tame(device, ALLOWED)
        received += f'network_receive_bytes_total{{device="{name}"}} {figures[0]}\n'
        sent += f'network_transmit_bytes_total{{device="{name}"}} {figures[8]}\n'
    if not received:
        return "# UNAVAILABLE there is no network device\n"
    return f"{RECEIVED}{received}{SENT}{sent}"


if __name__ == "__main__":
    reading.main(text)
