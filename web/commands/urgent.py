"""`vigie urgent TEXT`: mails from memory that nothing can be recorded (alerts/urgent.py); run_all.sh calls it."""

import argparse

from alerts import urgent
from archive import clock, settings

HELP = ""  # run_all.sh calls it


def run(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="vigie urgent")
    parser.add_argument("text")
    said = urgent.tell(settings.load(), parser.parse_args(argv).text, clock.now())
    if said:
        print(said)
    return 0
