"""What the checks of tests/deploy share: documents, and who says what of them."""
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


class Findings:
    """What is wrong, and how many things were looked at."""

    def __init__(self, title):
        self.title, self.wrong, self.looked = title, [], 0

    def expect(self, holds, words):
        self.looked += 1
        if not holds:
            self.wrong.append(words)

    def tell(self):
        """Exit code."""
        if not self.looked:
            self.wrong.append("nothing was looked at")
        for words in self.wrong:
            print(f"FAILED  {self.title}: {words}")
        if not self.wrong:
            print(f"ok      {self.title}: {self.looked} checks")
        return 1 if self.wrong else 0


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def output(*words):
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: {done.stderr}{done.stdout}")
    return done.stdout


def settings():
    """The variables that docs/operator.md explains."""
    table = (ROOT / "docs/operator.md").read_text()
    found = set()
    for row in re.findall(r"^\| (.+?) \|", table, re.M):
        for cell in re.findall(r"`([A-Z][A-Z0-9_…]+)`", row):
            found.add(cell)
    return found


def metrics():
    """Metrics by name with their type, as docs/metrics.md has them; tests/api holds
    that table against the source."""
    found = {}
    for row in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in row.split("|")]
        if len(cells) > 4 and cells[2] in ("gauge", "counter", "histogram"):
            for name in re.findall(r"`([a-z0-9_]+)`", cells[1]):
                found[name] = cells[2]
    return found
