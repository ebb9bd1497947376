"""A process that writes bars until it is killed; it prints how many are safe after every sync."""

import sys
from pathlib import Path

from shadow.writer import ShadowWriter
from tests.support.records import HOUR_MS, START_MS, HandClock, bar

folder, n_bars = Path(sys.argv[1]), int(sys.argv[2])
clock = HandClock()
with ShadowWriter(folder, clock) as writer:
    # As the live side does: go on where the log ends, whatever it was that one meant to do.
    for n in range(n_bars):
        clock.now_ms = START_MS + n * HOUR_MS
        writer.write_bar(bar(n, ml_error="e" * (n * 997 % 9000)))
        if n % 5 == 0 and writer.sync():
            print(n, flush=True)
assert writer.errors == 0, writer.last_error
print("done", flush=True)
