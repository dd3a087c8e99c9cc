"""An independent client: grpcio over contract/chat.proto. Usage: chat_client.py CONTRACT_FOLDER GENERATED_FOLDER HOST:PORT"""
import queue, subprocess, sys, time, uuid

contract, generated, target = sys.argv[1:4]
subprocess.check_call([sys.executable, "-m", "grpc_tools.protoc", "-I", contract, "--python_out", generated, "--grpc_python_out", generated, "chat.proto"])
sys.path.insert(0, generated)
import grpc, chat_pb2 as chat, chat_pb2_grpc as service


def new_id():
    random = uuid.uuid4().bytes
    return int(time.time() * 1000).to_bytes(6, "big") + bytes([0x70 | random[6] & 15, random[7], 0x80 | random[8] & 63]) + random[9:]


class Device:
    def __init__(self, user, **open):
        self.out, self.unanswered, self.round = queue.Queue(), {}, 0
        self.out.put(chat.ClientFrame(open=chat.Open(session="s", **open)))
        stub = service.MessagingStub(grpc.insecure_channel(target))
        self.call = stub.Converse(iter(self.out.get, None), metadata=[("x-user-id", str(user))], timeout=60)

    def send(self, receiver, body, id=None):
        id = id or new_id()
        self.unanswered[id] = chat.Send(id=id, receiver=receiver, body=body, round=self.round)
        self.out.put(chat.ClientFrame(send=self.unanswered[id]))
        return id

    def next(self):
        """The next frame. A refusal that asks for a retry begins the next round: this client is fast enough for it, with 53 messages at once."""
        while True:
            frame = next(self.call)
            refused = frame.refused
            if refused.reason not in (chat.REASON_TOO_FAST, chat.REASON_OVERLOADED, chat.REASON_UNKNOWN_OUTCOME):
                self.unanswered.pop(frame.ack.id or refused.id, None)
                return frame
            if refused.round == self.round:
                time.sleep(refused.retry_after_ms / 1000)
                self.round += 1
                again, self.unanswered = self.unanswered, {}
                for send in again.values():
                    self.send(send.receiver, send.body, send.id)

    def until(self, kind, count=1):
        found = []
        while len(found) < count:
            frame = self.next()
            if frame.WhichOneof("frame") == kind:
                found.append(getattr(frame, kind))
        return found


def status(device):
    try:
        for _ in device.call:
            pass
    except grpc.RpcError as error:
        return error.code().name, error.details()


alice, bob = Device(11, device="phone"), Device(12, device="phone")
opened, _ = alice.until("opened")[0], bob.until("opened")
assert opened.max_body_bytes == 8192 and opened.id_window_ms == 60000 and opened.max_unacknowledged == 64, opened
ids = [alice.send(12, b"%d" % n) for n in range(50)]
got = bob.until("message", 50)
assert [m.body for m in got] == [b"%d" % n for n in range(50)], got
assert [m.id for m in got] == ids and all(a.offset < b.offset for a, b in zip(got, got[1:]))
acks = alice.until("ack", 50)
assert {a.id for a in acks} == set(ids)
alice.send(12, b"x" * 8193)
assert alice.until("refused")[0].reason == chat.REASON_TOO_LARGE
alice.send(12, b"x", id=b"short")
assert alice.until("refused")[0].reason == chat.REASON_INVALID
alice.send(12, b"0", id=ids[0])
assert alice.until("ack")[0].id == ids[0], "a retry is acknowledged, and delivered once"
again = Device(12, device="phone", attempt=1, log=opened.log, cursor=got[39].offset)
assert [m.body for m in again.until("message", 10)] == [b"%d" % n for n in range(40, 50)]
assert status(bob)[0] == "UNAVAILABLE"
code, text = status(Device(12, device="d" * 65))
assert code == "INVALID_ARGUMENT" and "65" in text, (code, text)
code, text = status(Device(12, device="\u00fc\n%zz" * 20))
assert code == "INVALID_ARGUMENT", (code, text)
assert status(Device("nobody", device="d"))[0] == "UNAUTHENTICATED"
assert status(Device(12, device="e", log=opened.log, cursor=10**9))[0] == "OUT_OF_RANGE"
print("ok")
