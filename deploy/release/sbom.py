#!/usr/bin/env python3
"""What a build of erawan is made of, as CycloneDX 1.5: every crate that Cargo.lock
has for the program itself (not for its tests), with licence and checksum.
    sbom.py VERSION REVISION CREATED > erawan.cdx.json
"""
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host()]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def host():
    told = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return re.search(r"^host: (.*)$", told, re.M).group(1)


def checksums():
    """By name and version."""
    lock = (ROOT / "Cargo.lock").read_text()
    entries = re.findall(r'name = "(.*?)"\nversion = "(.*?)"(?:\nsource = ".*?")?(?:\nchecksum = "(.*?)")?', lock)
    return {(name, version): checksum for name, version, checksum in entries}


def main():
    version, revision, created = sys.argv[1:4]
    meta = metadata()
    packages = {package["id"]: package for package in meta["packages"]}
    nodes = {node["id"]: node for node in meta["resolve"]["nodes"]}
    root = meta["resolve"]["root"]

    def dependencies(identity):
        of_tests_too = identity == root
        for dependency in nodes[identity]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            if not of_tests_too or kinds - {"dev"}:
                yield dependency["pkg"]

    seen, waiting = {root}, [root]
    while waiting:
        for dependency in dependencies(waiting.pop()):
            if dependency not in seen:
                seen.add(dependency)
                waiting.append(dependency)
    known = checksums()

    def reference(identity):
        package = packages[identity]
        return f"pkg:cargo/{package['name']}@{package['version']}"

    def component(identity):
        package = packages[identity]
        entry = {
            "type": "library", "bom-ref": reference(identity), "name": package["name"],
            "version": package["version"], "purl": reference(identity),
        }
        if package.get("license"):
            entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        checksum = known.get((package["name"], package["version"]))
        if checksum:
            entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return entry

    others = sorted(seen - {root}, key=reference)
    program = {"type": "application", "bom-ref": reference(root), "name": "erawan", "version": version,
               "licenses": [{"expression": "Apache-2.0"}],
               "properties": [{"name": "revision", "value": revision}]}
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        # The same commit has the same number.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'erawan/{revision}')}",
        "metadata": {"timestamp": created, "component": program},
        "components": [component(identity) for identity in others],
        "dependencies": [
            {"ref": reference(identity), "dependsOn": sorted({reference(d) for d in dependencies(identity) if d in seen})}
            for identity in [root, *others]
        ],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
