"""A plugin of coverage.py that saves the data of Ray's workers each second: Ray kills them."""

import sys
import threading
import time
from contextlib import suppress

from coverage import Coverage
from coverage.plugin_support import Plugins


def coverage_init(reg: Plugins, options: dict[str, str]) -> None:
    """Start to save; coverage.py calls this in each process."""
    if any("/ray/_private/workers/" in argument for argument in sys.orig_argv):
        threading.Thread(target=_save, daemon=True).start()


def _save() -> None:
    while True:
        time.sleep(1)
        with suppress(Exception):
            if measured := Coverage.current():
                measured.save()
