#!/usr/bin/env python3
"""The documents as a site: is every page in its list, does every link lead
somewhere, does every shown picture exist?"""
import re
import sys

from documents import ROOT, Findings

DOCS = ROOT / "docs"


def anchors(path):
    """As mdBook and GitHub make them of headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        found.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", bare)))
    return found


def main():
    findings = Findings("documents")
    pages = [page for page in DOCS.rglob("*.md") if page.name != "SUMMARY.md"]
    pages += [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
    listed = set(re.findall(r"\]\(([^)]+\.md)\)", (DOCS / "SUMMARY.md").read_text()))
    for page in pages:
        if page.parent in (DOCS, DOCS / "spec"):
            name = str(page.relative_to(DOCS))
            findings.expect(name in listed, f"docs/SUMMARY.md lacks {name}")
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
        text = re.sub(r"`[^`\n]*`", "", text)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            place = (page.parent / path).resolve() if path else page
            where = f"{page.relative_to(ROOT)}: {target}"
            findings.expect(place.exists(), f"{where} leads nowhere")
            if anchor and place.suffix == ".md" and place.exists():
                findings.expect(anchor in anchors(place), f"{where}: no such heading")
    for name in listed:
        there = (DOCS / name).exists() or (ROOT / name).exists()
        findings.expect(there, f"docs/SUMMARY.md lists {name}, which is nowhere")
    return findings.tell()


if __name__ == "__main__":
    sys.exit(main())
