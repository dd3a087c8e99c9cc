"""A network that can be cut: a proxy on loopback for TCP, whose routes hold every byte while they are cut, as a lost network does, and then heal."""
import collections, errno, os, re, select, socket, threading

CHUNK = 256 << 10


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""       # closed meanwhile


def sockets(pid):
    """Local ports of the TCP sockets that the process `pid` has open; none when it is gone."""
    try:
        links = [link(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return set()
    inodes = {match[1] for each in links if (match := re.fullmatch(r"socket:\[(\d+)\]", each))}
    with open("/proc/net/tcp") as table:
        lines = table.readlines()[1:]
    return {int(fields[1].partition(":")[2], 16) for line in lines if len(fields := line.split()) > 9 and fields[9] in inodes}


class Cut:
    """Routes that are cut, for everybody or for one process."""

    def __init__(self, routes, pid):
        self.routes, self.pid = frozenset(routes), pid

    def holds(self):
        """What tells of a connection whether it is held, as things stand now."""
        ports = None if self.pid is None else sockets(self.pid)
        return lambda pair: pair.route in self.routes and (ports is None or pair.port in ports)


class Side:
    """One direction of a connection: what one socket gave and the other did not take yet."""

    def __init__(self, source, target):
        self.source, self.target, self.rest, self.ended = source, target, b"", False


class Pair:
    def __init__(self, route, client, target):
        self.route, self.client, self.target = route, client, target
        self.port = client.getpeername()[1]
        self.sides = (Side(client, target), Side(target, client))
        self.held = False


class Network(threading.Thread):
    """All routes, on one thread."""

    def __init__(self):
        super().__init__(daemon=True)
        self.poll, self.orders, self.bell = select.epoll(), collections.deque(), os.eventfd(0, os.EFD_NONBLOCK)
        self.poll.register(self.bell, select.EPOLLIN)
        self.listeners, self.pairs, self.cuts = {}, {}, []
        self.start()

    # For others

    def lead(self, route, place, target):
        """From now on `place` (host, port) leads to `target`; `route` names it in cuts."""
        listener = socket.create_server(place, backlog=512)
        listener.setblocking(False)
        self.order(lambda: self.listen(route, listener, target))

    def cut(self, routes, pid=None):
        """Holds every byte of `routes`, also of connections that are made from now on; of the process `pid` alone when given."""
        cut = Cut(routes, pid)
        self.order(lambda: (self.cuts.append(cut), self.judge(reset=False)))
        return cut

    def heal(self, cut, reset):
        """Ends a cut. What was held goes on its way, or its connections are reset."""
        self.order(lambda: (self.cuts.remove(cut), self.judge(reset)))

    def order(self, work):
        self.orders.append(work)
        os.eventfd_write(self.bell, 1)

    # On the thread

    def run(self):
        while True:
            for number, events in self.poll.poll():
                if number == self.bell:
                    os.eventfd_read(self.bell)
                elif number in self.listeners:
                    self.accept(*self.listeners[number])
                elif number in self.pairs:
                    self.move(self.pairs[number])
            while self.orders:
                self.orders.popleft()()

    def listen(self, route, listener, target):
        self.listeners[listener.fileno()] = (route, listener, target)
        self.poll.register(listener, select.EPOLLIN)

    def accept(self, route, listener, place):
        try:
            client, _ = listener.accept()
        except OSError:
            return
        target = socket.socket()
        target.setblocking(False)
        if target.connect_ex(place) not in (0, errno.EINPROGRESS):
            target.close()
            return self.reset(client)
        try:
            pair = Pair(route, client, target)
        except OSError:
            target.close()
            return client.close()
        for end in (client, target):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs[end.fileno()] = pair
        pair.held = any(cut.holds()(pair) for cut in self.cuts)
        if not pair.held:
            self.watch(pair)

    def watch(self, pair):
        for end in (pair.client, pair.target):
            self.poll.register(end, self.interest(pair, end))

    def interest(self, pair, end):
        wanted = 0
        for side in pair.sides:
            if side.source is end and not side.rest and not side.ended:
                wanted |= select.EPOLLIN
            if side.target is end and side.rest:
                wanted |= select.EPOLLOUT
        return wanted

    def judge(self, reset):
        """Which connections are held now. One that no longer is goes on, or is reset."""
        holds = [cut.holds() for cut in self.cuts]
        for pair in set(self.pairs.values()):
            held = any(hold(pair) for hold in holds)
            if held and not pair.held:
                for end in (pair.client, pair.target):
                    self.poll.unregister(end)
            elif pair.held and not held:
                self.watch(pair)
                if reset:
                    self.end(pair, reset=True)
            pair.held = held

    def move(self, pair):
        try:
            before = [self.interest(pair, end) for end in (pair.client, pair.target)]
            for side in pair.sides:
                self.carry(side)
            if all(side.ended and not side.rest for side in pair.sides):
                return self.end(pair, reset=False)
            for end, old in zip((pair.client, pair.target), before):
                if (now := self.interest(pair, end)) != old:
                    self.poll.modify(end, now)
        except OSError:
            self.end(pair, reset=True)

    def carry(self, side):
        if not side.rest and not side.ended:
            try:
                side.rest = side.source.recv(CHUNK)
                side.ended = not side.rest
                if side.ended:
                    return side.target.shutdown(socket.SHUT_WR)
            except BlockingIOError:
                return
        if side.rest:
            try:
                side.rest = side.rest[side.target.send(side.rest):]
            except BlockingIOError:
                pass

    def end(self, pair, reset):
        for end in (pair.client, pair.target):
            self.pairs.pop(end.fileno(), None)
            self.poll.unregister(end)
            self.reset(end) if reset else end.close()

    def reset(self, end):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        end.close()
