"""What the image is made of: a CycloneDX bill of materials, or the list of licences.

    python deploy/sbom.py            CycloneDX 1.6 as JSON, of requirements/image.txt
    python deploy/sbom.py licences   a line a package: name, version, licence

Names, versions and hashes are those of the pins; licences are what the installed packages say of
themselves. Needs no network, and gives the same bytes for the same pins and packages.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PINS = Path(__file__).resolve().parent.parent / "requirements" / "image.txt"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    marker: str  # '' or the environments that need it
    hashes: tuple[str, ...]  # SHA-256 of each of its files
    licence: str  # SPDX expression or the package's own words; `unknown` when not installed


def packages(pins: Path = PINS) -> list[Package]:
    """The pinned packages, in order of name."""
    text = pins.read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)\s*(?:;\s*(.*?))?\s*(?=--hash|$)", line)
        if match:
            name, version, marker = match[1], match[2], (match[3] or "").strip()
            hashes = tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", line)))
            found.append(Package(name, version, marker, hashes, licence_of(name)))
    return sorted(found, key=lambda package: package.name)


def licence_of(name: str) -> str:
    """In the order of how exact it is: SPDX expression, classifiers, free text."""
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return UNKNOWN
    if expression := told.get("License-Expression"):
        return str(expression)
    classified = [
        value.split(" :: ")[-1]
        for value in told.get_all("Classifier") or []
        if value.startswith("License ::") and not value.endswith("OSI Approved")
    ]
    if classified:
        return "; ".join(sorted(classified))
    text = (told.get("License") or "").strip()
    return text.splitlines()[0][:80] if text else UNKNOWN


def bill(found: list[Package]) -> dict[str, Any]:
    """The CycloneDX document."""
    components = [_component(package) for package in found]
    name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{name}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "llmops-jobs",
                "name": "llmops-jobs",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": "llmops-jobs", "dependsOn": [c["bom-ref"] for c in components]}],
    }


def _component(package: Package) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name}@{package.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": each} for each in package.hashes],
    }
    if package.licence != UNKNOWN:
        component["licenses"] = [{"license": {"name": package.licence}}]
    if package.marker:
        component["properties"] = [{"name": "python:marker", "value": package.marker}]
    return component


def main(arguments: list[str]) -> int:
    match arguments:
        case []:
            json.dump(bill(packages()), sys.stdout, indent=2)
            print()
        case ["licences"]:
            for package in packages():
                print(f"{package.name:<32} {package.version:<16} {package.licence}")
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
