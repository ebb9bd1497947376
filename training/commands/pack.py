"""`python -m training pack`: make one file of a bundle, for another host."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from plugin.command_line import YES, add_command, print_json
from plugin.manifest import MANIFEST_FILE
from training.packing import gather, write_packed
from training.signing import sign

_EPILOG = """\
example:
  python -m training pack models/bundles/20260102T030405Z-0123456789ab --sign bundle-private.pem

The bundle is verified first, and the file is read back. `python -m training install` takes it in on the
other host; docs/carrying.md tells how to make the keys.
exit codes: 0 packed, 1 the bundle is not intact, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `pack`."""
    parser = add_command(subparsers, "pack", "make one file of a bundle, for another host", _EPILOG)
    parser.add_argument("bundle", type=Path, help="the folder of the bundle")
    parser.add_argument("--out", type=Path, metavar="FILE", help="(default: <bundle id>.zip)")
    parser.add_argument("--sign", type=Path, metavar="PRIVATE_KEY", help="Ed25519 key, PEM")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify, pack, sign, read back, say."""
    packed = gather(args.bundle)
    if args.sign is not None:
        packed = replace(packed, signature=sign(packed.files[MANIFEST_FILE], args.sign))
    out = args.out if args.out is not None else Path(f"{packed.bundle_id}.zip")
    sha256 = write_packed(packed, out)
    n_bytes = out.stat().st_size
    if args.json:
        print_json(
            {
                "bundle_id": packed.bundle_id,
                "file": str(out),
                "bytes": n_bytes,
                "sha256": sha256,
                "signed": packed.signature is not None,
            }
        )
    else:
        signed = "no" if args.sign is None else f"with {args.sign}"
        for line in (f"packed:  {out}, {n_bytes:,} bytes", f"sha256:  {sha256}", f"signed:  {signed}"):
            Console(highlight=False).print(line, soft_wrap=True, markup=False)
    return YES
