"""Plays compose.yaml without an engine: PostgreSQL and Redis of this machine, started with what compose.yaml gives them, and
the host with its environment and the shop's manifest. An order is placed, the servers and the host are ended as
`docker compose restart` would, and the order is still there: compose.py BINARY.

Names of services become addresses of this machine, and ports those that are free; nothing else is changed.
"""

import glob
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import yaml

PATIENCE = 180
ROOT = pathlib.Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def settled(text):
    """`${NAME:-value}` as it is where nobody has set NAME."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, look):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    sys.exit(f"compose: {what} within {PATIENCE} s: no")


def succeeds(command, **how):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how).returncode == 0


class Place:
    """Folders and ports of one run, and what runs."""

    def __init__(self, folder):
        self.folder, self.running = pathlib.Path(folder), []
        self.folder.chmod(0o711)
        self.ports = {"postgres": free_port(), "redis": free_port()}
        # PostgreSQL will not run as root.
        account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        newest = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        self.postgres_programs = pathlib.Path(newest)

    def run(self, command, log, **how):
        """`log` is where its messages go."""
        with open(self.folder / log, "ab") as file:
            how = {"stdout": file, "stderr": file, **how}
            self.running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, **how))
        return self.running[-1]

    def end(self, process, how):
        process.send_signal(how)
        process.wait(PATIENCE)
        self.running.remove(process)

    def postgres(self):
        data, programs = self.folder / "postgres", self.postgres_programs
        is_new = not data.exists()
        if is_new:
            data.mkdir(mode=0o700)
            if self.user:
                shutil.chown(data, self.user["user"], self.user["group"])
            made = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd="/", **self.user)
        server = [programs / "postgres", "-D", data, "-p", str(self.ports["postgres"]), "-k", ""]
        process = self.run(server, "postgres.log", cwd="/", **self.user)
        at = ["--host=127.0.0.1", "-p", str(self.ports["postgres"])]
        until("PostgreSQL answers", lambda: succeeds([programs / "pg_isready", *at, "-q"]))
        if is_new:
            # What the image runs at its first start.
            script = [programs / "psql", *at, "-X", "-q", "-U", "postgres", "-v", "ON_ERROR_STOP=1"]
            source = next(v for v in COMPOSE["postgres"]["volumes"] if "initdb.d" in v).split(":")[0]
            subprocess.run([*script, "-f", ROOT / source], check=True)
        # compose.yaml's own check.
        check = COMPOSE["postgres"]["healthcheck"]["test"][1:]
        until("postgres is healthy", lambda: succeeds([programs / check[0], *check[1:], *at[1:]]))
        return process

    def redis(self):
        folder = self.folder / "redis"
        folder.mkdir(exist_ok=True)
        command = [*COMPOSE["redis"]["command"], "--port", str(self.ports["redis"]), "--bind", "127.0.0.1"]
        process = self.run(command, "redis.log", cwd=folder)
        check = COMPOSE["redis"]["healthcheck"]["test"][1:]
        until("redis is healthy", lambda: succeeds([check[0], "-p", str(self.ports["redis"]), *check[1:]]))
        return process

    def host(self, binary):
        manifests = self.folder / "manifests"
        manifests.mkdir(exist_ok=True)
        text = (ROOT / "manifests/shop.toml").read_text()
        assert "[admin]" not in text
        (manifests / "shop.toml").write_text(text + '\n[admin]\nlisten = "127.0.0.1:0"\n')
        if not (self.folder / "components").exists():
            (self.folder / "components").symlink_to(ROOT / "components")
        environment = {name: settled(value) for name, value in COMPOSE["archipel"]["environment"].items()}
        for name, port in self.ports.items():
            environment = {key: re.sub(rf"(//|@){name}(?=/|$)", rf"\g<1>127.0.0.1:{port}", value)
                           for key, value in environment.items()}
        environment["SHOP_LISTEN"] = "127.0.0.1:0"
        environment["PATH"] = os.environ["PATH"]
        output = self.folder / "host.json"
        with open(output, "wb") as out:
            process = self.run([binary, "run", manifests / "shop.toml"], "host.log", env=environment, stdout=out)

        def listening():
            if process.poll() is not None:
                sys.exit(f"compose: the host ended:\n{(self.folder / 'host.log').read_text()[-3000:]}")
            whole = output.read_text().rpartition("\n")[0]
            lines = [line for line in whole.splitlines() if '"listening"' in line]
            return json.loads(lines[0])["listening"]["gateway"][0] if lines else None

        return process, until("the host serves", listening)


def asked(address, method, path, body=None, token=None, key=None):
    headers = {"content-type": "application/json"}
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    headers |= {"idempotency-key": key} if key else {}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://{address}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        sys.exit(f"compose: {method} {path} is {error.code}: {error.read().decode()}")


def main(binary):
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder)
        try:
            postgres, redis = place.postgres(), place.redis()
            host, address = place.host(binary)
            signed = [binary, "token", "sign", place.folder / "manifests/shop.toml", "--sub", "operator", "--role", "admin"]
            admin = subprocess.run([*signed, "--ttl", "1h"], check=True, capture_output=True, text=True).stdout
            admin = json.loads(admin)["token"] if admin.lstrip().startswith("{") else admin.strip()
            login = {"email": "ada@example.com", "password": "correct horse battery"}
            user = asked(address, "POST", "/api/auth/register", {**login, "name": "Ada"})["id"]
            token = asked(address, "POST", "/api/auth/login", login)["token"]
            tea = asked(address, "POST", "/api/products", {"name": "Tea", "price": 4.5, "inventory": 7}, admin)["id"]
            wanted = {"userId": user, "items": [{"productId": tea, "quantity": 2}]}
            order = asked(address, "POST", "/api/orders", wanted, token, str(uuid.uuid4()))["id"]
            told = f"/api/notifications?userId={user}"
            until("the order is told of", lambda: asked(address, "GET", told, token=token))
            # As `docker compose restart`: everything at once, and again.
            place.end(host, signal.SIGTERM)
            place.end(redis, signal.SIGTERM)
            place.end(postgres, signal.SIGINT)
            place.postgres(), place.redis()
            _, address = place.host(binary)
            assert asked(address, "GET", f"/api/orders/{order}", token=token)["total"] == 9
            assert asked(address, "GET", f"/api/products/{tea}", token=token)["inventory"] == 5
            assert asked(address, "GET", told, token=token), "the notification outlived Redis"
            print("compose: an order through PostgreSQL, Redis and the host of compose.yaml, and over a restart", file=sys.stderr)
        finally:
            for process in reversed(place.running):
                process.terminate()
            for process in place.running:
                process.wait(PATIENCE)


main(sys.argv[1])
