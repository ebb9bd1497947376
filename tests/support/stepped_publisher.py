"""A process that publishes a bundle and gives it its roles, to be stopped or killed at any step.

It loads a training once. For every line on its standard input, a models folder and a time of creation,
it forks a child, prints its id, and prints how it ended. The child stops itself before the first step,
so that a tracer can take hold of it. After the word `careless` it leaves out every sync.
"""

import os
import signal
import sys
from pathlib import Path

from plugin.durable import locked
from plugin.manifest import GateReport
from plugin.registry import Registry
from tests.support.stored_training import trained_again
from training.bundle_writer import draft_bundle, publish_bundle
from training.trained import Trained

WHO = "a test"


def publish(models: Path, trained: Trained, created: str) -> None:
    """Draft, publish, appoint as challenger, promote, roll back."""
    with locked(models):
        draft = draft_bundle(models, trained, created)
        bundle = publish_bundle(models, draft, GateReport(level="shadow", results=()))
        registry = Registry(models)
        registry.appoint(bundle.name, at=created, who=WHO, why="to try it", role="challenger")
        registry.promote(at=created, who=WHO, why="it did well")
        registry.roll_back(at=created, who=WHO, why="it did not")


def main() -> None:
    store, bundle = (Path(argument) for argument in sys.argv[1:])
    trained = trained_again(store, bundle)
    # Forking is safe here: no library has trained or predicted in this process.
    for line in sys.stdin:
        *careless, models, created = line.split()
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            if careless:
                os.fsync = lambda _: None  # type: ignore[assignment]
            publish(Path(models), trained, created)
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
