#!/usr/bin/env python3
"""The chart, the kustomize base and the compose file: do they fit Kubernetes'
schemas, and do they keep what we promise (PodSecurity `restricted`, no token, no
service links, probes, spread, budgets)?"""
import os
import re
import shutil
import subprocess
import sys

import kubernetes_validate
import yaml

from documents import DEPLOY, ROOT, Findings, documents, output, settings

# The first and the last that we say it runs on, and the one it was run on.
VERSIONS = ["1.27", "1.30", "1.34"]
# A Helm built with `go install` believes that it talks to Kubernetes 1.20.
KUBERNETES = ["--kube-version", "1.30.0"]
# Kinds of others, whose schemas Kubernetes does not have.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "Certificate"}
# A Service makes the environment variable NAME_PORT=tcp://... in old-fashioned
# pods; these names would be settings.
TAKEN = {"db", "server", "prometheus-server", "master-server", "mq-service-server", "tendermint", "dashboard"}


def pods(found):
    for document in found:
        template = document.get("spec", {}).get("template")
        if template and document["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            yield document, template["spec"]


def schema(findings, source, found):
    for document in found:
        if document["kind"] in FOREIGN:
            continue
        for version in VERSIONS:
            name = f"{source}: {document['kind']} {document['metadata']['name']} in {version}"
            try:
                kubernetes_validate.validate(document, version, strict=True)
                findings.expect(True, name)
            except Exception as error:  # its errors have no common type
                findings.expect(False, f"{name}: {getattr(error, 'message', error)}")


def policy(findings, source, found):
    known = settings()
    budgets = [d["spec"]["selector"]["matchLabels"] for d in found if d["kind"] == "PodDisruptionBudget"]
    policies = [d["spec"]["podSelector"]["matchLabels"] for d in found if d["kind"] == "NetworkPolicy"]
    for document in found:
        name = f"{source}: {document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Service":
            findings.expect(document["metadata"]["name"] not in TAKEN, f"{name}: its name makes a setting")
        if document["kind"] == "ConfigMap":
            for variable, value in document["data"].items():
                findings.expect(isinstance(value, str), f"{name}: {variable} is no text")
                findings.expect(variable in known, f"{name}: docs/operator.md does not know {variable}")
        if document["kind"] == "ServiceAccount":
            findings.expect(document["automountServiceAccountToken"] is False, f"{name}: token")
    for document, pod in pods(found):
        name = f"{source}: {document['kind']} {document['metadata']['name']}"
        labels = document["spec"]["template"]["metadata"]["labels"]
        component = labels["app.kubernetes.io/component"]
        ours = component in ("master", "worker")

        def of(selector):
            return selector.items() <= labels.items()
        expect = findings.expect
        expect(pod.get("enableServiceLinks") is False, f"{name}: enableServiceLinks must be false")
        expect(pod.get("automountServiceAccountToken") is False, f"{name}: mounts a token")
        expect("serviceAccountName" in pod, f"{name}: no account of its own")
        # PodSecurity `restricted`.
        security = pod.get("securityContext", {})
        expect(security.get("runAsNonRoot") is True, f"{name}: runAsNonRoot")
        expect(security.get("runAsUser", 0) > 0, f"{name}: runAsUser")
        expect(security.get("seccompProfile", {}).get("type") == "RuntimeDefault", f"{name}: seccompProfile")
        allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
                   "projected", "secret"}
        for volume in pod.get("volumes", []):
            expect(set(volume) - {"name"} <= allowed, f"{name}: volume {volume['name']}")
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            expect(not pod.get(field), f"{name}: {field}")
        for container in pod["containers"] + pod.get("initContainers", []):
            inside = f"{name}: container {container['name']}"
            own = container.get("securityContext", {})
            expect(own.get("allowPrivilegeEscalation") is False, f"{inside}: allowPrivilegeEscalation")
            expect(own.get("readOnlyRootFilesystem") is True, f"{inside}: readOnlyRootFilesystem")
            expect(own.get("capabilities", {}).get("drop") == ["ALL"], f"{inside}: capabilities")
            expect(not own.get("privileged"), f"{inside}: privileged")
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                expect(probe in container, f"{inside}: no {probe}")
            resources = container.get("resources", {})
            expect({"cpu", "memory"} <= set(resources.get("requests", {})), f"{inside}: requests")
            expect("memory" in resources.get("limits", {}), f"{inside}: no limit of memory")
            expect(not container["image"].endswith(":latest"), f"{inside}: an image that changes")
            if ours:
                variables = {entry["name"]: entry["value"] for entry in container["env"]}
                expect(set(variables) <= known, f"{inside}: unknown setting among {sorted(variables)}")
                paths = [mount["mountPath"] for mount in container["volumeMounts"]]
                expect("/run/keys" in paths, f"{inside}: keys")
                expect("/api/data" in paths, f"{inside}: nowhere to write")
        expect(any(of(selector) for selector in policies), f"{name}: no NetworkPolicy")
        if ours:
            expect(any(of(selector) for selector in budgets), f"{name}: no PodDisruptionBudget")
            spread = [constraint["topologyKey"] for constraint in pod.get("topologySpreadConstraints", [])]
            expect("kubernetes.io/hostname" in spread, f"{name}: not spread over machines")
            stop(findings, name, found, document, pod)


def stop(findings, name, found, document, pod):
    """The drain, the grace of the process and that of the pod fit each other."""
    config = next(d["data"] for d in found if d["kind"] == "ConfigMap")
    grace = int(config["SHUTDOWN_GRACE_MS"])
    variables = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    drain = int(variables.get("SHUTDOWN_DRAIN_MS", 0))
    findings.expect(drain + 6000 <= grace, f"{name}: no time is left after the drain")
    findings.expect(pod["terminationGracePeriodSeconds"] * 1000 > grace, f"{name}: killed before its grace is over")
    if variables["MODE"] == "worker":
        findings.expect(drain >= 5000, f"{name}: the Service needs seconds to hear that it goes")


def compose(findings):
    text = (DEPLOY / "compose/compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    known = settings()
    for name, service in services.items():
        ours = "erawan" in service["image"]
        findings.expect(ours or "healthcheck" in service, f"compose: {name} has no health check")
        findings.expect("restart" in service, f"compose: {name} is not restarted")
        if ours:
            findings.expect(service["read_only"] is True, f"compose: {name} can write to its image")
            findings.expect(service["cap_drop"] == ["ALL"], f"compose: {name} has capabilities")
            for variable in service["environment"]:
                findings.expect(variable in known, f"compose: {name}: docs/operator.md does not know {variable}")
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text()
    findings.expect("HEALTHCHECK" in dockerfile, "Dockerfile: no HEALTHCHECK")
    findings.expect(re.search(r"^USER [1-9][0-9]*:[1-9][0-9]*$", dockerfile, re.M), "Dockerfile: USER is no number")
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    for pattern in ("*", "**/.env*", "**/*.pem"):
        findings.expect(pattern in ignored, f".dockerignore: {pattern} gets into the build context")


def main():
    code = 0
    helm = sys.argv[1] if len(sys.argv) > 1 else ""
    if helm:
        chart = DEPLOY / "helm/erawan"
        findings = Findings("chart")
        for values in sorted((chart / "ci").glob("*.yaml")):
            output(helm, "lint", "--strict", *KUBERNETES, str(chart), "--values", str(values))
            found = documents(output(helm, "template", "rp1", *KUBERNETES, str(chart), "--values", str(values)))
            schema(findings, values.name, found)
            policy(findings, values.name, found)
        for wrong in ("nodeId=", "workers.replicas=0", "stop.drainSeconds=-1", "no.such=1", "redis.host="):
            done = subprocess.run(
                [helm, "template", "rp1", *KUBERNETES, str(chart), "--values", str(chart / "ci/smallest.yaml"), "--set", wrong],
                capture_output=True, text=True)
            findings.expect(done.returncode != 0, f"{wrong} is accepted")
        code |= findings.tell()
        made = Findings("kustomize base is what the chart makes")
        fresh = subprocess.run([str(DEPLOY / "kubernetes/render"), "/dev/stdout"], capture_output=True, text=True,
                               env={**os.environ, "HELM": helm})
        made.expect(fresh.returncode == 0, fresh.stderr)
        made.expect(fresh.stdout == (DEPLOY / "kubernetes/base/node.yaml").read_text(),
                    "run deploy/kubernetes/render and commit base/node.yaml")
        code |= made.tell()
    findings = Findings("kustomize")
    for folder in ("base", "example"):
        found = documents(output("kubectl", "kustomize", str(DEPLOY / "kubernetes" / folder))) \
            if shutil.which("kubectl") else documents((DEPLOY / "kubernetes/base/node.yaml").read_text())
        schema(findings, folder, found)
        policy(findings, folder, found)
    code |= findings.tell()
    findings = Findings("compose and image")
    compose(findings)
    return code | findings.tell()


if __name__ == "__main__":
    sys.exit(main())
