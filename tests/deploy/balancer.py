#!/usr/bin/env python3
"""Workers behind deploy/nginx/nginx.conf that vanish, restart and go for good.

Each worker and nginx have a network namespace on one bridge, so a cable can be
pulled: no reset, no refusal, silence. What nginx is told (its file, the sysctls
of deploy/compose, the drain time) is what is shipped; only the resolver's address
differs. No call may be lost, none may take more than 3 s.

Needs root, `ip`, redis-server, an nginx of 1.27.3 or newer and a build of erawan:
    tests/deploy/balancer.py --erawan target/debug/erawan --nginx nginx
"""
import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BRIDGE, HOST = "erwbr", "10.89.7.1"
NGINX = "10.89.7.2"
WORKERS = [f"10.89.7.{11 + n}" for n in range(3)]
LONGEST = 3.0
# One line a call, with each try: to see why one took long.
TRIES = """
  log_format tries '$time_local $request_method $status $request_time $upstream_addr $upstream_status '
                   '$upstream_connect_time $upstream_response_time';
  access_log {folder}/tries.log tries;
"""


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def until(what, condition, patience=30.0):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"never: {what}")
        time.sleep(0.05)


class Names(threading.Thread):
    """Answers A questions for `worker`, as Docker's resolver does."""

    def __init__(self):
        super().__init__(daemon=True)
        self.addresses = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 5353))

    def run(self):
        while True:
            question, peer = self.socket.recvfrom(512)
            end = question.index(b"\0", 12) + 5
            kind = struct.unpack(">H", question[end - 4:end - 2])[0]
            addresses = list(self.addresses) if kind == 1 else []
            head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, len(addresses), 0, 0)
            answers = b"".join(
                b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(address)
                for address in addresses
            )
            self.socket.sendto(head + question[12:end] + answers, peer)


class Space:
    """A network namespace with one cable to the bridge."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.cable = f"v{name}"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", self.cable, "master", BRIDGE, "up")
        inside = ("ip", "-n", name)
        run(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")

    def pull(self):
        run("ip", "link", "set", self.cable, "down")

    def plug(self):
        run("ip", "link", "set", self.cable, "up")

    def start(self, words, environment=None, log=None):
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *words],
            env={**os.environ, **(environment or {})}, stdout=log, stderr=log,
        )


class Worker:
    def __init__(self, space, erawan, environment, folder):
        self.space, self.erawan, self.environment = space, erawan, environment
        self.log = open(folder / f"{space.name}.log", "ab")
        self.process = None

    def start(self):
        self.process = self.space.start([self.erawan], self.environment, self.log)

    def is_ready(self):
        try:
            with socket.create_connection((self.space.address, 8888), 1) as stream:
                stream.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
                return b" 200 " in stream.recv(64)
        except OSError:
            return False

    def stop(self):
        """As an orchestrator does; how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        if code != 0:
            raise SystemExit(f"{self.space.name} ended with {code}")
        return time.monotonic() - began


class Load:
    """Clients that make one call after the other, over connections they keep."""

    def __init__(self, clients):
        self.calls, self.lock, self.over = [], threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(n,)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def client(self, number):
        connection = None
        turn = 0
        while not self.over.is_set():
            turn += 1
            reference = f"b-{uuid.uuid4()}"
            if turn % 3:
                method, path, body = "POST", "/v6/rp/requests/citizen_id/1000000000017", request(reference)
            else:
                method, path, body = "GET", "/v6/utility/idp", None
            began = time.monotonic()
            try:
                connection = connection or http.client.HTTPConnection(NGINX, 8080, timeout=200)
                connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
                answer = connection.getresponse()
                status, said = answer.status, answer.read()
                if answer.will_close:
                    connection.close()
                    connection = None
            except OSError as error:
                status, said, connection = 0, repr(error).encode(), None
            took = time.monotonic() - began
            with self.lock:
                self.calls.append((began, took, method, status, said[:300], reference))
            time.sleep(0.01)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def request(reference):
    return json.dumps({
        "reference_id": reference, "callback_url": "http://127.0.0.1:1/nobody", "mode": 1,
        "idp_id_list": ["idp1"], "data_request_list": [], "request_message": "please",
        "min_ial": 1.1, "min_aal": 1, "min_idp": 1, "request_timeout": 86400,
    })


def exists(reference):
    """Whether a call that was answered 20045 had been accepted."""
    connection = http.client.HTTPConnection(NGINX, 8080, timeout=10)
    connection.request("GET", f"/v6/rp/request_references/{reference}")
    return connection.getresponse().status == 200


def judge(name, load, faults):
    lost, known = [], 0
    for began, took, method, status, said, reference in load.calls:
        if status in (200, 202):
            continue
        if status == 400 and b"20045" in said and exists(reference):
            known += 1
            continue
        lost.append(f"{method} {status} after {took:.2f} s: {said!r}")
    longest = max(call[1] for call in load.calls)
    late = sum(call[1] > LONGEST for call in load.calls)
    ok = not lost and not late
    print(f"{'ok' if ok else 'FAILED':7} {name}: {len(load.calls)} calls, {len(lost)} lost, {known} answered "
          f"20045 and there, longest {longest:.2f} s, {late} above {LONGEST:.0f} s; {faults}", flush=True)
    for line in sorted(set(lost))[:5]:
        print("        ", line)
    return ok


def sysctls():
    """What deploy/compose sets for nginx."""
    compose = (ROOT / "deploy/compose/compose.yaml").read_text()
    return re.findall(r"^ +(net\.ipv4\.\w+): (\d+)$", compose, re.M)


def drain():
    compose = (ROOT / "deploy/compose/compose.yaml").read_text()
    found = re.search(r'SHUTDOWN_DRAIN_MS: "?(\d+)', compose)
    return found.group(1) if found else "0"


def clean():
    for line in run("ip", "netns", "list").splitlines():
        if line.startswith("erw"):
            run("ip", "netns", "del", line.split()[0])
    run("ip", "link", "del", BRIDGE, check=False)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--erawan", required=True)
    arguments.add_argument("--nginx", required=True)
    arguments.add_argument("--conf", default=str(ROOT / "deploy/nginx/nginx.conf"))
    arguments.add_argument("--no-sysctls", action="store_true", help="see what the kernel's own patience does")
    arguments.add_argument("--drain", default=drain(), help="SHUTDOWN_DRAIN_MS of the workers")
    arguments.add_argument("--clients", type=int, default=6)
    options = arguments.parse_args()
    clean()
    folder = Path(tempfile.mkdtemp(prefix="erawan-balancer-"))
    started = []
    went_well = False
    try:
        went_well = play(options, folder, started)
    finally:
        for process in reversed(started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        clean()
    # The logs of one that failed stay.
    if went_well:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs: {folder}")
    sys.exit(0 if went_well else 1)


def play(options, folder, started):
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"{HOST}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    names = Names()
    names.start()
    devnet = subprocess.Popen(
        [options.erawan, "devnet", "--bind", HOST, "--store", "redis", "--workers", "1", "--json",
         "--base-port", "21000", "--dir", str(folder / "devnet")],
        stdout=subprocess.PIPE, stderr=open(folder / "devnet.log", "wb"), text=True)
    started.append(devnet)
    line = devnet.stdout.readline()
    if not line:
        raise SystemExit((folder / "devnet.log").read_text())
    network = json.loads(line)
    rp = next(node for node in network["nodes"] if node["node_id"] == "rp1")
    mq_host, mq_port = rp["mq"].rsplit(":", 1)
    ledger_host, ledger_port = network["ledger"].rsplit(":", 1)
    keys = Path(network["keys"])
    environment = {
        "NODE_ENV": "development", "MODE": "worker", "NODE_ID": "rp1", "LOG_LEVEL": "info",
        "TENDERMINT_IP": ledger_host, "TENDERMINT_PORT": ledger_port, "TENDERMINT_WS_CONNECTIONS": "2",
        "MQ_CONTACT_IP": mq_host, "MQ_BINDING_PORT": "21198", "MQ_SERVICE_SERVER_IP": mq_host,
        "MQ_SERVICE_SERVER_PORT": mq_port, "MASTER_SERVER_PORT": rp["masters"][0].rsplit(":", 1)[1],
        "MASTER_SERVER_IP": HOST, "STORE": "redis", "DB_IP": HOST, "DB_PORT": str(network["redis"]),
        "SIGNING_PRIVATE_KEY_PATH": str(keys / "rp1.signing.pem"),
        "SIGNING_MASTER_PRIVATE_KEY_PATH": str(keys / "rp1.master.pem"),
        "ENCRYPTION_PRIVATE_KEY_PATH": str(keys / "rp1.encryption.pem"),
        "PROMETHEUS": "true", "SHUTDOWN_DRAIN_MS": options.drain, "CLUSTER_INSECURE": "true",
        "DATA_DIRECTORY_PATH": str(folder / "data"),
    }
    workers = []
    for number, address in enumerate(WORKERS, 1):
        worker = Worker(Space(f"erww{number}", address), options.erawan, environment, folder)
        worker.start()
        started.append(worker.process)
        workers.append(worker)
    for worker in workers:
        until(f"{worker.space.name} is ready", worker.is_ready)
    names.addresses = [worker.space.address for worker in workers]

    space = Space("erwng", NGINX)
    if not options.no_sysctls:
        for name, value in sysctls():
            run("ip", "netns", "exec", space.name, "sysctl", "-qw", f"{name}={value}")
    conf = Path(options.conf).read_text().replace("127.0.0.11", f"{HOST}:5353")
    (folder / "nginx.conf").write_text(f"daemon off; user root; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;\n"
                                       + conf.replace("http {", "http {" + TRIES.format(folder=folder)))
    nginx = space.start([options.nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")],
                        log=open(folder / "nginx.out", "wb"))
    started.append(nginx)

    def answers():
        try:
            connection = http.client.HTTPConnection(NGINX, 8080, timeout=5)
            connection.request("GET", "/v6/utility/idp")
            return connection.getresponse().status == 200
        except OSError:
            return False
    until("nginx answers", answers)
    verdicts = []

    def scenario(name, fault):
        load = Load(options.clients)
        time.sleep(1)
        faults = fault()
        time.sleep(1)
        load.stop()
        verdicts.append(judge(name, load, faults))

    def cable():
        workers[0].space.pull()
        time.sleep(8)
        # Whoever keeps the names has noticed.
        names.addresses = [worker.space.address for worker in workers[1:]]
        time.sleep(3)
        workers[0].space.plug()
        names.addresses = [worker.space.address for worker in workers]
        time.sleep(2)
        return "one of three unplugged for 11 s"

    def rolling():
        stops = []
        for worker in workers:
            stops.append(worker.stop())
            names.addresses = [one.space.address for one in workers if one is not worker]
            # As the namespace of a container that is gone.
            worker.space.pull()
            time.sleep(1.5)
            worker.space.plug()
            worker.start()
            started.append(worker.process)
            until("it is ready again", worker.is_ready)
            names.addresses = [one.space.address for one in workers]
            time.sleep(1.5)
        return f"three restarted, one after the other; stops took {', '.join(f'{s:.1f}' for s in stops)} s"

    def scale_down():
        for worker in workers[1:]:
            worker.process.send_signal(signal.SIGTERM)
        for worker in workers[1:]:
            worker.process.wait(60)
            worker.space.pull()
        names.addresses = [workers[0].space.address]
        time.sleep(3)
        return "three to one"

    scenario("nothing happens", lambda: time.sleep(2) or "calm")
    scenario("cable pulled", cable)
    scenario("rolling restart", rolling)
    scenario("scale-down", scale_down)
    return all(verdicts)


if __name__ == "__main__":
    main()
