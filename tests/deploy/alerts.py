#!/usr/bin/env python3
"""Alert rules, their unit tests, their paragraphs in the runbook and the metrics
that they and the dashboards name: does each have the others?"""
import json
import re
import sys

import yaml

from documents import DEPLOY, ROOT, Findings, metrics, output

PARTS = ["What it means.", "What to look at.", "What to do.", "What not to do."]
# Of Prometheus itself.
OWN = {"up"}
FUNCTIONS = set("""abs absent avg by bool ceil changes clamp_min count delta deriv floor group_left
histogram_quantile humanize ignoring increase label_replace label_values last_over_time le max
max_over_time min on or and unless rate round sort_desc sum time topk vector without scalar offset""".split())


def names(expression):
    """Metrics that an expression names."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left)\s*\([^)]*\)", "", bare)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    return {word for word in re.findall(r"\b[a-z_][a-z0-9_]*\b", bare) if word not in FUNCTIONS}


def exists(name, known):
    if name in OWN or name in known:
        return name in OWN or known[name] != "histogram"
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    return known.get(base) == "histogram"


def main():
    output("promtool", "check", "rules", "deploy/prometheus/alerts.yaml")
    output("promtool", "check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml")
    output("promtool", "test", "rules", "deploy/prometheus/alerts.test.yaml")
    known = metrics()
    findings = Findings("alerts")
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    tests = yaml.safe_load((DEPLOY / "prometheus/alerts.test.yaml").read_text())["tests"]
    fires, quiet = set(), set()
    for test in tests:
        for case in test["alert_rule_test"]:
            (fires if case["exp_alerts"] else quiet).add(case["alertname"])
    runbook = (ROOT / "docs/runbook.md").read_text()
    paragraphs = dict(re.findall(r"^## (\w+)\n(.*?)(?=^#|\Z)", runbook, re.M | re.S))
    for rule in rules:
        name = rule["alert"]
        findings.expect(name in fires, f"{name}: no unit test in which it fires")
        findings.expect(name in quiet, f"{name}: no unit test in which it is quiet")
        findings.expect(rule["annotations"]["runbook_url"].endswith(f"#{name.lower()}"), f"{name}: its link leads elsewhere")
        findings.expect(rule["labels"]["severity"] in ("critical", "warning"), f"{name}: severity")
        paragraph = paragraphs.get(name, "")
        for part in PARTS:
            findings.expect(f"**{part}**" in paragraph, f"{name}: docs/runbook.md lacks “{part}”")
        for metric in names(rule["expr"]):
            findings.expect(exists(metric, known), f"{name}: no process has {metric}")
    of_nobody = set(paragraphs) - {rule["alert"] for rule in rules}
    findings.expect(not of_nobody, f"docs/runbook.md has paragraphs of no alert: {sorted(of_nobody)}")
    for anchor in re.findall(r"\]\(#(\w+)\)", runbook):
        findings.expect(anchor in {name.lower() for name in paragraphs}, f"docs/runbook.md: #{anchor} is nowhere")
    code = findings.tell()

    findings = Findings("dashboards")
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        board = json.loads(path.read_text())
        variables = {variable["name"] for variable in board["templating"]["list"]}
        findings.expect({"datasource", "node_id"} <= variables, f"{path.name}: shows no single node")
        numbers = [panel["id"] for panel in board["panels"]]
        findings.expect(len(numbers) == len(set(numbers)), f"{path.name}: two panels have one id")
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                where = f"{path.name}: panel “{panel['title']}”"
                findings.expect('node_id=~"$node_id"' in target["expr"], f"{where} adds up nodes")
                for metric in names(target["expr"].replace("$__rate_interval", "5m")):
                    findings.expect(exists(metric, known), f"{where}: no process has {metric}")
    return code | findings.tell()


if __name__ == "__main__":
    sys.exit(main())
