"""What a real gRPC client expects of a server: Python's grpcio against the tests' echo service. No protobuf: messages are bytes.
Python's own ssl shows what is said at which step of a handshake.

conformance.py PORT TLS_PORT CA          prints "ok NAME" or "FAILED NAME: why" for each check
"""
import socket
import ssl
import sys
import threading
import time
import traceback

import grpc

PORT, TLS_PORT, CA = sys.argv[1], sys.argv[2], sys.argv[3]
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def channel(*options, port=PORT):
    # Its own connection, not one shared with other channels to the same address.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1), *options]
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=options)


def unary(ch, method="Unary"):
    return ch.unary_unary(f"/test.Echo/{method}")


def bidi(ch, method="Bidi"):
    return ch.stream_stream(f"/test.Echo/{method}")


class Feed:
    """An iterator of requests that a check fills while the call runs."""

    def __init__(self):
        self.items, self.ready, self.closed = [], threading.Condition(), False

    def put(self, item):
        with self.ready:
            self.items.append(item)
            self.ready.notify()

    def close(self):
        with self.ready:
            self.closed = True
            self.ready.notify()

    def __iter__(self):
        return self

    def __next__(self):
        with self.ready:
            self.ready.wait_for(lambda: self.items or self.closed)
            if self.items:
                return self.items.pop(0)
            raise StopIteration


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


@check
def unary_call():
    with channel() as ch:
        assert unary(ch)(b"hello", timeout=30) == b"hello"


@check
def empty_message():
    with channel() as ch:
        assert unary(ch)(b"", timeout=30) == b""


@check
def server_streaming():
    with channel() as ch:
        got = list(ch.unary_stream("/test.Echo/Count")(b"500", timeout=30))
        assert got == [str(n).encode() for n in range(500)], len(got)


@check
def client_streaming():
    with channel() as ch:
        assert ch.stream_unary("/test.Echo/Unary")(iter([b"a", b"b", b"last"]), timeout=30) == b"last"


@check
def ping_pong():
    with channel() as ch:
        feed = Feed()
        call = bidi(ch)(feed, timeout=60)
        for n in range(300):
            feed.put(b"%d" % n)
            assert next(call) == b"%d" % n
        feed.close()
        assert list(call) == [] and call.code() is grpc.StatusCode.OK


@check
def many_streams_on_one_connection():
    with channel() as ch:
        feeds = [Feed() for _ in range(90)]
        calls = [bidi(ch)(feed, timeout=60) for feed in feeds]
        for turn in range(5):
            for n, feed in enumerate(feeds):
                feed.put(b"%d/%d" % (n, turn))
        for n, call in enumerate(calls):
            for turn in range(5):
                assert next(call) == b"%d/%d" % (n, turn)
        for feed in feeds:
            feed.close()
        for call in calls:
            assert list(call) == []


@check
def more_streams_than_allowed_wait():
    with channel() as ch:
        futures = [unary(ch).future(b"%d" % n, timeout=60) for n in range(500)]
        assert [f.result() for f in futures] == [b"%d" % n for n in range(500)]


@check
def one_mebibyte():
    with channel() as ch:
        body = bytes(range(256)) * 4096
        assert unary(ch)(body, timeout=60) == body
        got = list(bidi(ch)(iter([body, b"x", body]), timeout=60))
        assert got == [body, b"x", body]


@check
def deadline_of_the_client():
    with channel() as ch:
        start = time.time()
        error = failure(lambda: list(bidi(ch, "Hang")(iter([b"x"]), timeout=0.3)))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and time.time() - start < 20, error


@check
def cancellation():
    with channel() as ch:
        feed = Feed()
        call = bidi(ch)(feed)
        feed.put(b"1")
        assert next(call) == b"1"
        call.cancel()
        assert failure(lambda: next(call)).code() is grpc.StatusCode.CANCELLED
        feed.close()
        assert unary(ch)(b"still there", timeout=30) == b"still there"


@check
def half_close():
    with channel() as ch:
        call = bidi(ch)(iter([b"a", b"b"]), timeout=30)
        assert list(call) == [b"a", b"b"] and call.code() is grpc.StatusCode.OK


@check
def metadata_both_ways():
    with channel() as ch:
        data = bytes(range(256))
        sent = [("x-one", "1"), ("x-many", "a"), ("x-many", "b"), ("x-data-bin", data)]
        answer, call = unary(ch, "Metadata").with_call(b"", timeout=30, metadata=sent)
        assert answer == b"1|false|false", answer
        initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
        assert initial["x-initial"] == "a,b" and initial["x-initial-bin"] == data, initial
        assert trailing["x-trailing"] == "late" and trailing["x-trailing-bin"] == data[::-1], trailing


@check
def metadata_of_8_kilobytes():
    with channel() as ch:
        assert unary(ch)(b"x", timeout=30, metadata=[("authorization", "Bearer " + "t" * 8192)]) == b"x"


@check
def trailers_only():
    with channel() as ch:
        error = failure(lambda: unary(ch, "Denied")(b"x", timeout=30))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED and error.details() == "no token", error


@check
def unimplemented():
    with channel() as ch:
        error = failure(lambda: unary(ch, "Nothing%")(b"x", timeout=30))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED and error.details() == "unknown method /test.Echo/Nothing%", error.details()


@check
def a_method_of_10_kilobytes():
    with channel() as ch:
        error = failure(lambda: unary(ch, "M" * 10_000)(b"x", timeout=30))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED and len(error.details()) <= 1024, error


@check
def every_status_code():
    with channel() as ch:
        for code in grpc.StatusCode:
            if code is grpc.StatusCode.OK:
                continue
            error = failure(lambda: unary(ch, "Fail")(b"%d:because" % code.value[0], timeout=30))
            assert error.code() is code and error.details() == "because", error


@check
def any_text_in_a_status():
    with channel() as ch:
        for text in ["a\nb\r\n", "nul\0", "100%", "%zz %41", "Grüße 🎈", " lead and trail "]:
            error = failure(lambda: unary(ch, "Fail")(b"5:" + text.encode(), timeout=30))
            assert error.details() == text, (text, error.details())


@check
def a_text_of_10_kilobytes_is_cut_at_a_character():
    with channel() as ch:
        error = failure(lambda: unary(ch, "Fail")(b"5:" + ("x" + "🎈" * 2500).encode(), timeout=30))
        details = error.details()
        assert details == "x" + "🎈" * 255, (len(details), details[-3:])


@check
def gzip_is_refused():
    with channel() as ch:
        error = failure(lambda: unary(ch)(b"x" * 1000, timeout=30, compression=grpc.Compression.Gzip))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED, error
        assert unary(ch)(b"plain", timeout=30) == b"plain"


@check
def a_message_over_the_limit():
    with channel() as ch:
        error = failure(lambda: unary(ch)(b"x" * (5 << 20), timeout=30))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
        assert unary(ch)(b"plain", timeout=30) == b"plain"


@check
def a_reader_that_is_too_slow():
    with channel(("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0)) as ch:
        call = bidi(ch, "Pour")(iter([b"go"]), timeout=100)
        time.sleep(0.5)
        got = 0
        error = None
        try:
            for _ in call:
                got += 1
        except grpc.RpcError as e:
            error = e
        assert error is not None and error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and got >= 1000, (error, got)


@check
def ten_calls_a_millisecond_cancelled():
    with channel() as ch:
        body = b"x" * 8192
        for n in range(2500):
            call = ch.stream_stream("/test.Echo/Hang")(iter([body]))
            call.cancel()
        assert unary(ch)(b"after", timeout=60, wait_for_ready=True) == b"after"


@check
def keepalive_every_second_on_a_quiet_stream():
    with channel(("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 20000), ("grpc.keepalive_permit_without_calls", 1),
                 ("grpc.http2.max_pings_without_data", 0)) as ch:
        feed = Feed()
        call = bidi(ch)(feed)
        feed.put(b"1")
        assert next(call) == b"1"
        time.sleep(5)
        feed.put(b"2")
        assert next(call) == b"2"
        feed.close()
        assert list(call) == []


def secure(ca):
    with open(ca, "rb") as file:
        return grpc.secure_channel(f"localhost:{TLS_PORT}", grpc.ssl_channel_credentials(file.read()), [("grpc.use_local_subchannel_pool", 1)])


@check
def tls():
    with secure(CA) as ch:
        body = b"y" * 300_000
        assert unary(ch)(body, timeout=60) == body
        feed = Feed()
        call = bidi(ch)(feed, timeout=60)
        for n in range(50):
            feed.put(b"%d" % n)
            assert next(call) == b"%d" % n
        feed.close()
        assert list(call) == []


class Handshake:
    """A client of Python's ssl whose bytes leave when a check wants it."""

    def __init__(self, version):
        context = ssl.create_default_context(cafile=CA)
        context.maximum_version = version
        context.set_alpn_protocols(["h2"])
        self.coming, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.coming, self.going, server_hostname="localhost")
        self.socket = socket.create_connection(("127.0.0.1", int(TLS_PORT)), 30)

    def leave(self):
        self.socket.sendall(self.going.read())

    def until(self, step):
        """What `step` gives, once the server has said enough for it; nothing leaves meanwhile."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                got = self.socket.recv(65_536)
                assert got, "the server closed the connection"
                self.coming.write(got)

    def begin(self):
        """The ClientHello leaves."""
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            self.leave()

    def step(self):
        """A step of the handshake, and what it says leaves."""
        try:
            self.session.do_handshake()
        finally:
            self.leave()


def without_key(hello):
    """A ClientHello that leaves it to the server to choose the key exchange, so that it asks for another one (HelloRetryRequest)."""
    def size(count, value):
        return value.to_bytes(count, "big")

    at = 9 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    head, rest, extensions = hello[9:at], hello[at + 2:], b""
    while rest:
        kind, length = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        body = b"\0\0" if kind == 51 else rest[4:4 + length]
        extensions += size(2, kind) + size(2, len(body)) + body
        rest = rest[4 + length:]
    body = head + size(2, len(extensions)) + extensions
    return hello[:3] + size(2, len(body) + 4) + b"\1" + size(3, len(body)) + body


def settings(frame):
    return len(frame) > 9 and frame[3] == 4 and frame[4] == 0


@check
def tls_13_settings_come_with_the_handshake():
    client = Handshake(ssl.TLSVersion.TLSv1_3)
    client.begin()
    client.until(client.session.do_handshake)
    # The client's Finished has not left yet.
    assert settings(client.until(lambda: client.session.read(65_536)))
    client.leave()
    client.session.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) + bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"pingpong")
    client.leave()
    answer = b""
    while b"pingpong" not in answer:
        answer += client.until(lambda: client.session.read(65_536))
    assert answer[3] == 4 and answer[4] == 1, "our SETTINGS are acknowledged"


@check
def tls_13_nothing_is_said_before_there_are_keys():
    client = Handshake(ssl.TLSVersion.TLSv1_3)
    try:
        client.session.do_handshake()
    except ssl.SSLWantReadError:
        client.socket.sendall(without_key(client.going.read()))
    client.socket.settimeout(0.5)
    records = b""
    try:
        while got := client.socket.recv(65_536):
            records += got
    except TimeoutError:
        pass
    kinds = []
    while records:
        kinds.append(records[0])
        records = records[5 + int.from_bytes(records[3:5], "big"):]
    # A handshake message, and what passes for a change of ciphers.
    assert kinds in ([22], [22, 20]), kinds


@check
def tls_12_settings_come_after_the_handshake():
    client = Handshake(ssl.TLSVersion.TLSv1_2)
    client.until(client.step)
    assert settings(client.until(lambda: client.session.read(65_536)))


@check
def tls_without_the_authority():
    with grpc.secure_channel(f"localhost:{TLS_PORT}", grpc.ssl_channel_credentials()) as ch:
        assert failure(lambda: unary(ch)(b"x", timeout=30)).code() is grpc.StatusCode.UNAVAILABLE


@check
def plain_text_to_a_tls_port():
    with channel(port=TLS_PORT) as ch:
        assert failure(lambda: unary(ch)(b"x", timeout=30)).code() is grpc.StatusCode.UNAVAILABLE
    with secure(CA) as ch:
        assert unary(ch)(b"x", timeout=30) == b"x"


@check
def drain():
    """Last: afterwards the server takes nobody."""
    with channel() as ch, channel() as other:
        feed = Feed()
        call = bidi(ch)(feed)
        feed.put(b"1")
        assert next(call) == b"1"
        start = time.time()
        assert unary(other, "Drain")(b"", timeout=30) == b""
        feed.put(b"2")
        assert next(call) == b"2", "an open stream goes on"
        error = None
        while error is None:  # until the client has read the GOAWAY
            try:
                unary(ch)(b"new", timeout=30)
                assert time.time() - start < 30, "new calls are still taken"
            except grpc.RpcError as e:
                error = e
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error
        error = failure(lambda: next(call))
        took = time.time() - start
        assert error.code() is grpc.StatusCode.UNAVAILABLE and 7 < took < 40, (error, took)
        feed.close()


for function in CHECKS:
    try:
        function()
        print("ok", function.__name__, flush=True)
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        print(f"FAILED {function.__name__}: line {last.lineno}: {type(error).__name__}: {str(error)[:400]}".replace("\n", " "), flush=True)
print("done", len(CHECKS), flush=True)
