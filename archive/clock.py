"""The one clock. Every step takes `now` as an argument; only the edges call this."""

import os
import time


def now() -> int:
    """UTC seconds: VIGIE_NOW where the tests set it, else the machine's clock."""
    told = os.environ.get("VIGIE_NOW")
    return int(told) if told else int(time.time())
