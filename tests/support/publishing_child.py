"""A process that drafts and publishes bundles until it is killed; killed again and again by a test.

It waits for a line, forks, and prints the id of the process that now writes into the models folder;
when that one has ended it prints `gone`.
"""

import os
import sys
from itertools import count
from pathlib import Path

from plugin.manifest import GateReport
from tests.support.stored_training import trained_again
from training.bundle_writer import draft_bundle, publish_bundle

store, bundle, models = (Path(argument) for argument in sys.argv[1:])
trained = trained_again(store, bundle)
# Forking is safe here alone: no library has trained or predicted in this process.
for number, _ in enumerate(sys.stdin):
    child = os.fork()
    if child == 0:
        for turn in count():
            created = f"2026-01-{number + 1:02}T{turn // 60:02}:{turn % 60:02}:00Z"
            draft = draft_bundle(models, trained, created)
            publish_bundle(models, draft, GateReport(level="shadow", results=()))
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
