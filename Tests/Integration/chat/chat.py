#!/usr/bin/env python3
"""An independent client of a cell: users who chat by grpcio over contract/chat.proto, and a ledger of what came of it.

    chat.py --connect http://127.0.0.1:8080 --users 200 --rate 300 --seconds 60 [--devices 1] [--json FILE] [--settle 30] [--first-user 1]
            [--ca FILE] [--secret FILE] [--until FILE] [--least N]

Prints a summary and exits 0 only if every acknowledged id arrived exactly once on every device that asks for it, in the order in which
its device sent it, with offsets that rise, and stands in the history, and --least were acknowledged; 1 if not; 2 if the cell was never reached.
A file that --until names ends the sending early once it is there and --least messages are acknowledged. --ca names whom to trust where
the cell speaks TLS, and then nothing else is accepted than TLS. --secret names what tokens are signed with (HS256); else users only say who
they are.
"""
import argparse, asyncio, base64, collections, hashlib, hmac, importlib, json, os, pathlib, random, ssl, subprocess, sys, tempfile, time, urllib.request

import grpc


def contract():
    """chat.proto as Python modules, made by protoc in a temporary folder."""
    root = pathlib.Path(__file__).resolve().parents[3] / "contract"
    out = tempfile.mkdtemp(prefix="chat-proto-")
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"--python_out={out}", f"--grpc_python_out={out}", str(root / "chat.proto")], check=True)
    sys.path.insert(0, out)
    return importlib.import_module("chat_pb2"), importlib.import_module("chat_pb2_grpc")


pb, rpc = contract()
FOREVER = 2**63 - 1


def uuid7(now_ms):
    value = (now_ms & (2**48 - 1)) << 80 | 0x7 << 76 | random.getrandbits(12) << 64 | 0b10 << 62 | random.getrandbits(62)
    return value.to_bytes(16, "big")


def token(user, secret):
    """A JWT of an hour for `user`, signed with HS256."""
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    text = b".".join(part(json.dumps(claims).encode()) for claims in (dict(alg="HS256", typ="JWT"), dict(sub=str(user), exp=int(time.time()) + 3600)))
    return (text + b"." + part(hmac.digest(secret, text, hashlib.sha256))).decode()


class Lost(Exception):
    """The stream is over; `address`: where to go next, if the client knows."""
    def __init__(self, why, address=""):
        super().__init__(why)
        self.address = address


class Ledger:
    def __init__(self):
        self.acked = {}                                     # id → (sender, receiver)
        self.sent = {}                                      # id → (sender, receiver, number of the sender's message to the receiver)
        self.refused = collections.Counter()
        self.faults = []
        self.latencies = []
        self.events = []

    def fault(self, text):
        if len(self.faults) < 50:
            self.faults.append(text)


class Device:
    """One device of one user, as the comments of chat.proto say."""
    superseded = set()

    def __init__(self, user, name, args, ledger):
        self.user, self.name, self.args, self.ledger = user, name, args, ledger
        self.identity = (("authorization", "Bearer " + token(user, args.secret)),) if args.secret else (("x-user-id", str(user)),)
        self.session, self.attempt, self.channels = os.urandom(8).hex(), 0, {}
        self.log, self.cursor, self.epoch, self.gaps = "", None, 0, []
        self.unacked = collections.OrderedDict()            # id → Send without its round
        self.received = collections.OrderedDict()           # (log, offset) → Message
        self.history = []
        self.counters = collections.Counter()
        self.opened_once = asyncio.Event()
        self.queue, self.clock, self.max_unacked = None, 0, 64
        self.round, self.waits, self.sent_at = 0, 0, {}
        self.outages, self.lost_at = [], None
        self.stopping = False
        self.waiting = collections.deque()
        self.serving, self.fallback, self.last_offset = None, "", -1

    # Where to go

    async def ask_connect(self):
        def get():
            request = urllib.request.Request(self.args.connect + "/v1/connect", headers=dict(self.identity))
            with urllib.request.urlopen(request, timeout=5, context=self.args.trusted) as response:
                return json.load(response)
        answer = await asyncio.get_running_loop().run_in_executor(None, get)
        if answer["tls"] != bool(self.args.ca):
            self.ledger.fault(f"user {self.user}: the connect server says tls is {answer['tls']}")
        self.epoch = max(self.epoch, answer["epoch"])
        self.history = answer["history"] or self.history
        return answer["messaging"]

    def channel(self, address):
        """A connection of this device's own, as a real device has it: a server bounds the streams of one connection."""
        if address not in self.channels:
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 500)]
            if self.args.ca:
                credentials = grpc.ssl_channel_credentials(pathlib.Path(self.args.ca).read_bytes())
                self.channels[address] = grpc.aio.secure_channel(address, credentials, options=options)
            else:
                self.channels[address] = grpc.aio.insecure_channel(address, options=options)
        return self.channels[address]

    async def run(self):
        address, bound, first = "", 0.1, True
        while not self.stopping:
            if not first:
                await asyncio.sleep(random.uniform(0, bound))
                bound = min(bound * 2, 5)
            first = False
            began = time.monotonic()
            try:
                address = address or await self.ask_connect()
                await self.converse(address)
            except Lost as lost:
                self.counters["lost: " + str(lost)[:60]] += 1
                if self.lost_at is None and self.serving:
                    self.lost_at = time.monotonic()
                if self.serving and time.monotonic() - self.serving > 5:
                    bound, first = 0.1, True
                self.serving = None
                address = lost.address
            except Exception as error:
                if self.stopping:
                    return
                self.counters["connect: " + type(error).__name__] += 1
                address = ""

    # A stream

    async def converse(self, address, old=None):
        """Opens at `address` and serves until the stream is lost; `old`: the stream that this one supersedes once it is Opened."""
        self.attempt += 1
        attempt = self.attempt
        open_ = pb.Open(device=self.name, log=self.log if self.cursor is not None else "", session=self.session, attempt=self.attempt, epoch=self.epoch)
        if self.cursor is not None:
            open_.cursor = self.cursor
        queue = asyncio.Queue()
        call = rpc.MessagingStub(self.channel(address)).Converse(self.frames(queue), metadata=self.identity)
        await queue.put(pb.ClientFrame(open=open_))
        try:
            # Not wait_for, which swallows a cancellation that comes together with the answer: two streams would be served then.
            async with asyncio.timeout(15):
                first = await call.read()
            if attempt != self.attempt:
                raise Lost("a later attempt began")
            if first is grpc.aio.EOF or first is None:
                raise Lost(f"{await call.code()} before Opened")
            kind = first.WhichOneof("frame")
            if kind == "moved":
                self.epoch = max(self.epoch, first.moved.epoch)
                raise Lost("moved at once", first.moved.messaging)
            if kind != "opened":
                self.ledger.fault(f"user {self.user}: first answer is {kind}")
                raise Lost("protocol")
            if old:
                Device.superseded.add(old)
                old.cancel()
            self.begin(open_, first.opened, queue)
            await self.serve(call, first.opened)
        except grpc.aio.AioRpcError as error:
            self.died(error.code(), error.details())
        except asyncio.TimeoutError:
            raise Lost("silence", self.fallback if self.serving else "")
        finally:
            call.cancel()
            queue.put_nowait(None)

    def died(self, code, details):
        S = grpc.StatusCode
        if code == S.OUT_OF_RANGE:
            self.ledger.fault(f"user {self.user}: OUT_OF_RANGE {details}")
            self.log, self.cursor = "", -1
        if code in (S.ABORTED, S.INVALID_ARGUMENT, S.UNAUTHENTICATED):
            self.ledger.fault(f"user {self.user}: {code} {details}")
            self.stopping = True
        raise Lost(f"{code.name} {details}", self.fallback if self.serving else "")

    async def frames(self, queue):
        while (frame := await queue.get()) is not None:
            yield frame

    def begin(self, open_, opened, queue):
        self.epoch = max(self.epoch, opened.epoch)
        if self.log and self.cursor is not None and self.log != opened.log:
            self.gaps.append((self.log, self.cursor + 1, FOREVER))
        if self.cursor is None or self.log != opened.log:
            self.cursor = opened.next - 1
        elif open_.log == opened.log and opened.next != open_.cursor + 1:
            self.ledger.fault(f"user {self.user}: Opened.next {opened.next} after cursor {open_.cursor}")
        self.log, self.fallback, self.queue = opened.log, opened.fallback, queue
        self.clock, self.max_unacked = opened.time_ms - int(time.time() * 1000), opened.max_unacknowledged or 64
        self.round, self.waits, self.sent_at, self.last_offset = 0, 0, {}, -1
        self.serving = time.monotonic()
        if self.lost_at is not None:
            self.outages.append(self.serving - self.lost_at)
            self.lost_at = None
        self.opened_once.set()
        self.flush()

    async def serve(self, call, opened):
        silence = 3 * max(opened.alive_ms, 1000) / 1000
        move, heard = None, time.monotonic()
        read = asyncio.ensure_future(call.read())
        try:
            while True:
                until = min(heard + silence, self.waits or heard + silence, time.monotonic() + 1)
                await asyncio.wait({read, move} if move else {read}, timeout=max(0, until - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
                if call in Device.superseded:
                    return await move
                if move and move.done():
                    move.result()
                now = time.monotonic()
                if self.waits and now >= self.waits:
                    self.round, self.waits, self.sent_at = self.round + 1, 0, {}
                    self.flush()
                if not read.done():
                    if now - heard >= silence:
                        raise Lost("silence", self.fallback)
                    if not self.waits and any(now - t >= 10 for t in self.sent_at.values()):
                        raise Lost("an id was not answered for 10 s", self.fallback)
                    continue
                frame, heard = read.result(), now
                if frame is grpc.aio.EOF or frame is None:
                    if move:
                        return await move
                    self.died(await call.code(), await call.details())
                read = asyncio.ensure_future(call.read())
                kind = frame.WhichOneof("frame")
                if kind == "moved":
                    self.epoch = max(self.epoch, frame.moved.epoch)
                    self.counters["moved"] += 1
                    move = move or asyncio.ensure_future(self.follow(frame.moved.messaging, call))
                else:
                    self.heard(kind, getattr(frame, kind))
        finally:
            read.cancel()
            if move and not move.done() and call not in Device.superseded:
                move.cancel()

    async def follow(self, address, old):
        """After Moved: opens there, and as long as that fails asks the connect server, while the old stream lives."""
        bound = 0.1
        while True:
            try:
                return await self.converse(address, old)
            except Lost as lost:
                if old in Device.superseded or old.done():
                    raise
                self.counters["move retried"] += 1
                address = lost.address
            await asyncio.sleep(random.uniform(0, bound))
            bound = min(2 * bound, 5)
            try:
                address = address or await self.ask_connect()
            except Exception:
                address = ""
            if not address:
                continue

    # Frames

    def heard(self, kind, frame):
        ledger = self.ledger
        if kind == "message":
            if frame.offset <= self.last_offset:
                ledger.fault(f"user {self.user}: offset {frame.offset} after {self.last_offset} on one stream")
            self.last_offset = frame.offset
            if frame.offset > self.cursor:
                self.cursor = frame.offset
                self.take(self.log, frame)
                if frame.receiver == self.user and frame.id in Device.sent_times:
                    ledger.latencies.append(time.monotonic() - Device.sent_times[frame.id])
        elif kind == "ack":
            if frame.id in self.unacked:
                send = self.unacked.pop(frame.id)
                ledger.acked[frame.id] = (self.user, send.receiver)
            self.sent_at.pop(frame.id, None)
            self.flush()
        elif kind == "refused":
            ledger.refused[frame.reason] += 1
            if frame.reason in (3, 4, 5):
                if frame.round == self.round:
                    self.waits = max(self.waits, time.monotonic() + min(frame.retry_after_ms, 5000) / 1000)
            else:
                self.unacked.pop(frame.id, None)
                self.sent_at.pop(frame.id, None)
                if frame.reason != 6:
                    ledger.fault(f"user {self.user}: refused {frame.reason} {frame.detail}")
                self.flush()
        elif kind == "gap":
            start = max(getattr(frame, "from"), self.cursor + 1)
            if frame.to > start:
                self.gaps.append((self.log, start, frame.to))
                self.cursor = frame.to - 1
            self.counters["gap"] += 1
        elif kind == "alive":
            self.cursor = max(self.cursor, frame.next - 1)
            self.fallback = frame.fallback

    sent_times = {}

    def take(self, log, message):
        if (log, message.offset) in self.received:
            self.ledger.fault(f"user {self.user}: {log} {message.offset} came twice")
        self.received[(log, message.offset)] = message

    # Sending

    def send(self, receiver, body):
        self.waiting.append((receiver, body))
        self.flush()

    def flush(self):
        if not self.serving or self.waits:
            return
        for id_, send in self.unacked.items():
            if len(self.sent_at) >= self.max_unacked:
                return
            if id_ not in self.sent_at:
                self.put(id_, send)
        while self.waiting and len(self.sent_at) < self.max_unacked:
            receiver, body = self.waiting.popleft()
            id_ = uuid7(int(time.time() * 1000) + self.clock)
            send = pb.Send(id=id_, receiver=receiver, body=body)
            self.unacked[id_] = send
            self.ledger.sent[id_] = (self.user, self.name, receiver, len(self.ledger.sent))
            Device.sent_times[id_] = time.monotonic()
            self.put(id_, send)

    def put(self, id_, send):
        send.round = self.round
        copy = pb.Send()
        copy.CopyFrom(send)
        self.sent_at[id_] = time.monotonic()
        self.queue.put_nowait(pb.ClientFrame(send=copy))

    # History

    async def close_gaps(self, deadline):
        while self.gaps:
            if time.monotonic() > deadline:
                self.ledger.fault(f"user {self.user}: gap {self.gaps[0]} was not closed in time")
                return
            log, start, end = self.gaps[0]
            messages, through = await self.read_inbox(log, start, end)
            if through >= end or (end == FOREVER and through == FOREVER):
                self.gaps.pop(0)
                for message in messages:
                    self.take(log, message)
            else:
                await asyncio.sleep(0.2)

    async def ask(self, method, query):
        """The history's answer. While it is unavailable it is asked again, as long as the run may take to settle, wherever connect says that it is by then."""
        deadline = time.monotonic() + max(30, self.args.settle)
        while True:
            try:
                return await getattr(rpc.HistoryStub(self.channel(self.history[0])), method)(query, metadata=self.identity, timeout=10)
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.3)
            await self.ask_connect()

    async def read_inbox(self, log, start=None, end=None):
        messages, to, through = [], end, None
        while True:
            query = pb.InboxQuery(log=log, limit=500)
            if start is not None:
                setattr(query, "from", start)
            if to is not None:
                query.to = to
            page = await self.ask("Inbox", query)
            through = page.through if through is None else through
            messages += page.messages
            if not page.more:
                return messages, through
            to = page.messages[-1].offset


# The run

async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connect", required=True)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--settle", type=float, default=30)
    parser.add_argument("--first-user", type=int, default=1)
    parser.add_argument("--body", type=int, default=40)
    parser.add_argument("--json")
    parser.add_argument("--ca")
    parser.add_argument("--secret", type=lambda path: pathlib.Path(path).read_bytes())
    parser.add_argument("--until")
    parser.add_argument("--least", type=int, default=0)
    parser.add_argument("--no-history", action="store_true")
    args = parser.parse_args()
    args.trusted = ssl.create_default_context(cafile=args.ca) if args.ca else None
    ledger = Ledger()
    users = range(args.first_user, args.first_user + args.users)
    devices = {(u, d): Device(u, f"device-{d}", args, ledger) for u in users for d in range(args.devices)}
    tasks = [asyncio.ensure_future(device.run()) for device in devices.values()]
    try:
        await asyncio.wait_for(asyncio.gather(*(d.opened_once.wait() for d in devices.values())), 120)
    except asyncio.TimeoutError:
        print("the cell was not reached:", dict(sum((d.counters for d in devices.values()), collections.Counter())), file=sys.stderr)
        os._exit(2)
    print(f"opened {len(devices)} devices", flush=True)
    began, count = time.monotonic(), 0
    enough = lambda: args.until and len(ledger.acked) >= args.least and os.path.exists(args.until)
    while (elapsed := time.monotonic() - began) < args.seconds and not enough():
        while count < elapsed * args.rate:
            sender, receiver = random.sample(users, 2)
            devices[(sender, random.randrange(args.devices))].send(receiver, os.urandom(args.body // 2).hex().encode())
            count += 1
        await asyncio.sleep(0.005)
    deadline = time.monotonic() + args.settle
    while time.monotonic() < deadline and any(d.unacked or d.waiting for d in devices.values()):
        await asyncio.sleep(0.05)
    await settle(devices, ledger, time.monotonic() + args.settle, args)
    result = judge(devices, ledger, args, count, time.monotonic() - began)
    return await finish(devices, result, args)


async def settle(devices, ledger, deadline, args):
    """Waits until every acknowledged message is where it belongs, or the deadline."""
    def missing():
        for id_, (sender, receiver) in ledger.acked.items():
            for user in {sender, receiver}:
                for number in range(args.devices):
                    device = devices[(user, number)]
                    if id_ not in device.ids:
                        return True
        return False
    while True:
        for device in devices.values():
            device.ids = {m.id for m in device.received.values()}
        if not missing() or time.monotonic() > deadline:
            break
        await asyncio.gather(*(d.close_gaps(deadline) for d in devices.values() if d.gaps))
        await asyncio.sleep(0.1)
    await asyncio.gather(*(d.close_gaps(deadline) for d in devices.values()))


def judge(devices, ledger, args, count, seconds):
    lost = doubled = reordered = 0
    per_user = collections.defaultdict(list)
    for id_, (sender, receiver) in ledger.acked.items():
        for user in {sender, receiver}:
            per_user[user].append(id_)
    for (user, number), device in devices.items():
        messages = [device.received[key] for key in sorted(device.received)]
        counts = collections.Counter(m.id for m in messages)
        doubled += sum(n - 1 for n in counts.values() if n > 1)
        missing = [id_ for id_ in per_user[user] if id_ not in counts]
        lost += len(missing)
        for id_ in missing[:3]:
            ledger.fault(f"user {user} device {number} never got {id_.hex()} {ledger.sent[id_]}")
        last = {}
        for message in messages:
            sent = ledger.sent.get(message.id)
            if sent is None:
                continue
            key = (sent[0], sent[1], message.receiver)
            if sent[3] < last.get(key, -1):
                reordered += 1
                ledger.fault(f"user {user}: {message.id.hex()} of {key} came after a later one")
            last[key] = max(last.get(key, -1), sent[3])
    unfinished = sum(len(d.unacked) + len(d.waiting) for d in devices.values())
    outages = sorted(o for d in devices.values() for o in d.outages)
    latencies = sorted(ledger.latencies)
    percent = lambda values, q: round(1000 * values[min(len(values) - 1, int(q * len(values)))], 1) if values else None
    counters = sum((d.counters for d in devices.values()), collections.Counter())
    result = dict(sent=count, acked=len(ledger.acked), unfinished=unfinished, lost=lost, doubled=doubled, reordered=reordered, seconds=round(seconds, 1),
        refused={pb.Reason.Name(k): v for k, v in ledger.refused.items()}, deliver_ms=dict(p50=percent(latencies, .5), p99=percent(latencies, .99)),
        outage_ms=dict(count=len(outages), p50=percent(outages, .5), p99=percent(outages, .99), max=percent(outages, 1)), counters=dict(counters), faults=ledger.faults)
    return result


async def finish(devices, result, args):
    if not args.no_history:
        result["history"] = await compare_history(devices, args)
    good = result["acked"] >= args.least and not result["faults"] and not result["lost"] and not result["doubled"] and not result["reordered"] and not result["unfinished"] \
        and (args.no_history or result["history"]["different"] == 0)
    result["good"] = good
    print(json.dumps(result, indent=1), flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result))
    sys.stdout.flush()
    os._exit(0 if good else 1)      # the devices' streams are not worth a goodbye each


async def compare_history(devices, args):
    """Every user's inbox against what the first device received."""
    different, compared, rows = 0, 0, 0
    deadline = time.monotonic() + args.settle
    for (user, number), device in sorted(devices.items()):
        if number:
            continue
        wanted = {key: m.id for key, m in device.received.items()}
        logs = sorted({log for log, _ in wanted}) or [device.log]
        while True:
            found, complete = {}, True
            for log in logs:
                offsets = [offset for l, offset in wanted if l == log]
                messages, through = await device.read_inbox(log, min(offsets, default=0), None)
                found.update({(log, m.offset): m.id for m in messages})
                complete = complete and through > max(offsets, default=-1)
            if complete or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        compared, rows = compared + 1, rows + len(found)
        if found != wanted:
            different += 1
            if different <= 3:
                print(f"user {user}: history has {len(found)} rows, delivered {len(wanted)}; only there: {len(set(found) - set(wanted))}, only here: {len(set(wanted) - set(found))}", file=sys.stderr)
    return dict(users=compared, rows=rows, different=different)


if __name__ == "__main__":
    asyncio.run(main())
