"""`make bench` runs all of them; `python -m bench forecast ledger` only those named."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time

import bench


def main(wanted: list[str]) -> int:
    found = [module.name for module in pkgutil.iter_modules(bench.__path__)]
    names = [name for name in found if not name.startswith("_")]
    unknown = set(wanted) - set(names)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(names)}")
        return 64
    for name in wanted or names:
        module = importlib.import_module(f"bench.{name}")
        if not hasattr(module, "run"):
            continue
        print(f"\n== {name}: {(module.__doc__ or '').strip().splitlines()[0]}")
        started = time.perf_counter()
        module.run()
        print(f"   ({time.perf_counter() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
