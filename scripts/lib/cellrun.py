"""A whole cell on this machine for the scripts: real Kafka and Cassandra from the folder that CELL_PEERS names, a Redis, an operator, and what that starts."""
import concurrent.futures, fcntl, json, os, pathlib, random, shutil, signal, socket, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
began = time.monotonic()
# Where progress is told.
told = sys.stdout


def say(text):
    print(f"{time.monotonic() - began:7.1f} s  {text}", file=told, flush=True)


def free_port(count=1):
    """A free port, and as many that follow; below those that the system gives to outgoing connections, which would take them while a peer is down."""
    while True:
        port = random.randrange(10_000, 32_000 - count)
        try:
            for offset in range(count):
                with socket.socket() as each:
                    each.bind(("127.0.0.1", port + offset))
            return port
        except OSError:
            continue


def peers():
    """The folder with kafka/start and cassandra/start."""
    return pathlib.Path(os.environ.get("CELL_PEERS") or sys.exit(f"{sys.argv[0]}: set CELL_PEERS to the folder with kafka/start and cassandra/start"))


def binaries():
    """Where the programs are: CELL_BINARIES, else built for release."""
    if given := os.environ.get("CELL_BINARIES"):
        return pathlib.Path(given)
    subprocess.run(["swift", "build", "-c", "release"], cwd=ROOT, check=True, stdout=sys.stderr)
    return ROOT / ".build/release"


def python():
    """A Python with grpcio: CELL_PYTHON, else the one that scripts/setup --tests makes."""
    own = ROOT / ".build/python/bin/python3"
    return os.environ.get("CELL_PYTHON") or (own if own.exists() else "python3")


class Cell:
    """Everything that a run starts; `stop` ends it."""

    def __init__(self, name, cassandra=True):
        self.name, self.peers, self.binaries = name, peers(), binaries()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"cell-{name}-"))
        self.children, self.keep, self.variables = [], False, {}
        self.kafka, self.cassandra, self.redis, self.connect = free_port(40), free_port(), free_port(), free_port()
        if cassandra:
            # Only one Cassandra can run on a machine: wait for it, as the tests do.
            self.turn = open(os.path.join(os.environ.get("TMPDIR", "/tmp"), "cell-tests-cassandra.lock"), "a")
            fcntl.flock(self.turn, fcntl.LOCK_EX)
        # What looks on and measures speaks to Redis itself.
        self.environment = dict(os.environ, CELL_REDIS=f"127.0.0.1:{self.redis}")

    def start_peers(self, **counts):
        """Starts the peers of these names, each of so many, side by side."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for started in [pool.submit(self.peer, name, count) for name, count in counts.items()]:
                started.result()

    def peer(self, name, count):
        """Starts a peer; called again, it brings back what was killed."""
        line = [self.peers / name / "start", self.folder / name, str(count)]
        variables = dict(os.environ, KAFKA_PORT=str(self.kafka), CASSANDRA_PORT=str(self.cassandra)) | self.variables
        with open(self.folder / f"{name}.out", "ab") as out:
            # It gives up after a minute, which a busy machine may need more than once; what it began meanwhile goes on.
            for attempt in range(1, 4):
                if subprocess.run(line, env=variables, stdout=out, stderr=out, check=attempt == 3).returncode == 0:
                    return

    def child(self, name, *line, **more):
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(word) for word in line], stdout=log, stderr=log, stdin=subprocess.DEVNULL, **more)
        self.children.append(process)
        return process

    def start(self, spec, redis=None):
        """Starts Redis and an operator, and applies `spec`, a cell.yaml's text; `redis` is where the operator and its servers find Redis."""
        self.child("redis", "redis-server", "--port", self.redis, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "yes")
        variables = dict(os.environ, CELL_REDIS=f"127.0.0.1:{redis or self.redis}")
        self.child("operator", self.binaries / "cell-operator", "--state", self.folder / "state", "--name", self.name, env=variables)
        deadline = time.monotonic() + 30
        while self.cellctl("get", "cells").returncode and time.monotonic() < deadline:
            time.sleep(0.1)
        self.apply(spec)

    def apply(self, spec):
        (self.folder / "cell.yaml").write_text(spec)
        done = self.cellctl("apply", "-f", self.folder / "cell.yaml", "--wait=120s")
        if done.returncode:
            raise RuntimeError(f"the cell does not come up: {done.stderr}{done.stdout}")

    def cellctl(self, *line, timeout=180, **more):
        more = dict(capture_output=True) | more
        return subprocess.run([str(self.binaries / "cellctl"), *map(str, line)], env=self.environment, text=True, timeout=timeout, **more)

    def servers(self, *kinds):
        """Ready servers: (name, pid), sorted."""
        done = self.cellctl("get", "servers", "-o", "json")
        items = json.loads(done.stdout)["items"] if done.returncode == 0 else []
        return sorted((item["name"], item["pid"]) for item in items if item["kind"] in kinds and item["state"] == "ready" and item.get("pid"))

    def pid(self, peer, number):
        return int((self.folder / peer / f"{number}.pid").read_text())

    def stop(self):
        if self.children:
            self.cellctl("delete", "cell", self.name, "--wait=60s")
        for process in reversed(self.children):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        # Nobody needs what they hold, so they need no time to put it in order.
        for file in [*self.folder.glob("kafka/[0-9].pid"), *self.folder.glob("cassandra/[0-9].pid")]:
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (ProcessLookupError, ValueError):
                pass
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
