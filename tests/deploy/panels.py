#!/usr/bin/env python3
"""Every panel of the dashboards and every alert rule, asked of a real Prometheus
that scrapes a real network:
    tests/deploy/panels.py --erawan target/debug/erawan --prometheus prometheus
Each panel's expression must be understood, and must have a line, but for what has
not happened (EVENTS). No alert may fire in a calm network.
"""
import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from documents import DEPLOY, Findings

# Metrics that a calm network has no series of: their labels say what happened.
EVENTS = {
    "erawan_calls_refused_total", "erawan_invariant_violations_total", "erawan_accept_failures_total",
    "erawan_callback_failures_total",
}
PORT = 23990


def ask(path, **query):
    url = f"http://127.0.0.1:{PORT}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
    except OSError:
        return {"status": "away"}


def until(what, condition, patience=60):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"never: {what}")
        time.sleep(0.5)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--erawan", required=True)
    arguments.add_argument("--prometheus", required=True)
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="erawan-panels-"))
    started = []
    code = 1
    try:
        code = play(options, folder, started)
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    # The logs of one that failed stay.
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs: {folder}")
    sys.exit(code)


def play(options, folder, started):
    devnet = subprocess.Popen(
        [options.erawan, "devnet", "--store", "redis", "--workers", "1", "--json", "--base-port", "23000",
         "--dir", str(folder / "devnet")],
        stdout=subprocess.PIPE, stderr=open(folder / "devnet.log", "wb"), text=True)
    started.append(devnet)
    network = json.loads(devnet.stdout.readline() or sys.exit((folder / "devnet.log").read_text()))
    scrapes = [
        {"targets": [part["metrics"].split("/")[2] for part in node["processes"]], "labels": {"node_id": node["node_id"]}}
        for node in network["nodes"]
    ]
    (folder / "alerts.yaml").write_text((DEPLOY / "prometheus/alerts.yaml").read_text())
    (folder / "prometheus.yml").write_text(yaml.safe_dump({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [{"job_name": "erawan", "static_configs": scrapes}],
    }))
    prometheus = subprocess.Popen(
        [options.prometheus, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
         f"--web.listen-address=127.0.0.1:{PORT}"],
        stdout=subprocess.DEVNULL, stderr=open(folder / "prometheus.log", "wb"))
    started.append(prometheus)
    until("Prometheus answers", lambda: ask("query", query="up").get("status") == "success")
    urls = [word for name, option in (("rp1", "--rp"), ("idp1", "--idp"), ("as1", "--as"))
            for node in network["nodes"] if node["node_id"] == name
            for url in node["api"] for word in (option, url)]
    for _ in range(2):
        subprocess.run([options.erawan, "demo", "--requests", "30", *urls], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(5)
    time.sleep(5)

    findings = Findings("panels")
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                expression = target["expr"].replace("$node_id", "rp1").replace("$__rate_interval", "1m")
                answer = ask("query", query=expression)
                where = f"{path.name}: “{panel['title']}”: {expression}"
                findings.expect(answer.get("status") == "success", f"{where}: {answer.get('error')}")
                lines = answer.get("data", {}).get("result", [])
                has_not_happened = any(event in expression for event in EVENTS)
                findings.expect(lines or has_not_happened, f"{where} shows nothing")
    for group in ask("rules")["data"]["groups"]:
        for rule in group["rules"]:
            findings.expect(rule["health"] == "ok", f"alert {rule['name']}: {rule.get('lastError')}")
            findings.expect(rule["state"] != "firing", f"alert {rule['name']} fires in a calm network")
    return findings.tell()


if __name__ == "__main__":
    main()
