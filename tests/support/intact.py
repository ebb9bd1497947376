"""Is a models folder as it must be at any time, whatever was interrupted there?"""

from pathlib import Path

from plugin.bundle import verify_bundle
from plugin.registry import Registry


def champion_of_intact(models: Path) -> str:
    """The id of the champion. Every bundle there is must be whole, those with a role also by the hash
    in their pointer, and the champion's move be told; fails or raises where it is not so."""
    registry = Registry(models)
    champion = registry.champion()
    assert champion is not None
    assert champion.bundle_id is not None
    assert champion in registry.history(), "a move that nobody told"
    for pointer in (champion, registry.challenger()):
        if pointer is not None:
            verify_bundle(registry.bundle_folder(pointer))
    for bundle in registry.bundles.iterdir():
        assert verify_bundle(bundle)[0].gate_report is not None
    return champion.bundle_id
