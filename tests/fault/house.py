"""A house to be maltreated: an RA and its paired site as processes of their own,
whose keys, stores and logs stand in one folder."""
import hashlib
import json
import os
import signal
import socket
import subprocess

HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WAYBILL_BUILD", HERE + "/build")
PLEDGE = BUILD + "/manufacturer/waybill-pledge"
FACTORY = BUILD + "/manufacturer/waybill-factory"
WAYBILL = BUILD + "/cli/waybill"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


def replace(path, old, new):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert old in text, (path, old)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))


def ask(control, path):
    out = subprocess.run(
        ["curl", "-s", "--max-time", "20", "--unix-socket", control,
         "http://localhost" + path], check=True, capture_output=True)
    return json.loads(out.stdout)


def digest_of(path):
    """Of a file's octets; "" if there is none."""
    try:
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()
    except FileNotFoundError:
        return ""


def kill_all(folder):
    """What was started on this folder and is still there."""
    found = subprocess.run(["pgrep", "-f", folder], capture_output=True,
                           text=True, check=False).stdout.split()
    for pid in map(int, found):
        if pid != os.getpid():
            os.kill(pid, signal.SIGKILL)


class House:
    """An RA and its site: keys, files, daemons."""

    def __init__(self, folder):
        self.folder, self.port, link = folder, free_port(), free_port()
        self.vendor, self.ra, self.site = (
            folder + "/vendor", folder + "/ra", folder + "/site")
        root = "acme=" + self.vendor + "/vendor-root.crt"
        self.domain = self.site + "/domain-root.crt"
        run(FACTORY, "init", self.vendor)
        run(WAYBILL, "init", "ra", self.ra, "--host", "127.0.0.1", "--no-masa",
            "--listen", f"tls+tcp://127.0.0.1:{link}", "--map-size", "512MiB",
            "--vendor", root)
        run(WAYBILL, "init", "site", self.site, "--name", "torture",
            "--host", "127.0.0.1", "--listen", f"127.0.0.1:{self.port}",
            "--map-size", "512MiB", "--hold", "500ms", "--check-after", "1s",
            "--reconnect-max", "500ms", "--vendor", root)
        run(WAYBILL, "init", "ra", self.ra, "--pair",
            self.site + "/torture.request")
        run(WAYBILL, "init", "site", self.site, "--pair",
            self.site + "/torture.pairing")
        replace(self.site + "/forwarder.yaml", "min: 250ms", "min: 50ms")
        self.commands = {
            "registrar": (BUILD + "/registrar/waybill-registrar",
                          self.site + "/registrar.yaml"),
            "forwarder": (BUILD + "/forwarder/waybill-forwarder",
                          self.site + "/forwarder.yaml"),
            "ra": (BUILD + "/ra/waybill-ra", self.ra + "/ra.yaml"),
        }
        self.running = {}
        os.mkdir(folder + "/devices")

    def device(self, name):
        """Makes a factory identity."""
        run(FACTORY, "device", self.vendor, name, "--out",
            f"{self.folder}/devices/{name}")

    def pledge(self, device, *more):
        """The command with which it joins, or goes on with joining."""
        files = f"{self.folder}/devices/{device}"
        return [PLEDGE, "enrol", "--proxy", f"127.0.0.1:{self.port}",
                "--trust", self.domain, "--cert", files + ".crt",
                "--key", files + ".key", "--chain", files + ".chain.pem",
                "--state", files + ".state", "--out", files + ".ldevid", *more]

    def start(self, name, *more, env=None):
        program, conf = self.commands[name]
        with open(f"{self.folder}/{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                [program, "--config", conf, *more], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**os.environ, **(env or {})})

    def child_of_ra(self):
        pid = self.running["ra"].pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(p) for p in f.read().split()]

    def kill(self, name):
        """Kills it, or its CA alone, and waits for its end."""
        daemon = self.running["ra" if name == "ca" else name]
        victims = [daemon.pid]
        if name == "ca":
            victims = self.child_of_ra() or victims
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        try:
            return daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
            return "did not end"

    def stop(self):
        """Orderly; what each daemon ended with."""
        for daemon in self.running.values():
            daemon.send_signal(signal.SIGTERM)
        return {name: d.wait(20) for name, d in self.running.items()}
