import CLinux
import Glibc
import Synchronization
import Threads

typealias RedisPromise = CheckedContinuation<Result<[Result<RedisValue, RedisError>], RedisError>, Never>
typealias RedisExchange = Exchange<RedisPromise>

/// What tasks and the connecting thread leave for a client's thread.
final class RedisMailbox: Sendable {
    private struct Contents {
        var requests: [RedisExchange] = []
        var connected: Handover?
        var isClosed = false
    }

    /// Safe because whoever takes it out of the mailbox is the only one that has it.
    private struct Handover: @unchecked Sendable {
        var result: Result<RedisConnection, RedisError>
    }

    let bell: Doorbell
    private let contents = Mutex(Contents())

    init() throws(ThreadError) {
        bell = try Doorbell()
    }

    func put(_ exchange: RedisExchange) {
        let closed = contents.withLock { contents in
            if !contents.isClosed { contents.requests.append(exchange) }
            return contents.isClosed
        }
        if closed {
            exchange.promise.resume(returning: .failure(RedisError(.closed, "the client was closed")))
        } else {
            bell.ring()
        }
    }

    /// Connects on a thread of its own, because resolving a name cannot be interrupted.
    func connect(to address: RedisAddress, timeout: Duration) {
        do {
            try OwnThread.start("redis connect") { [self] in
                leave(Handover(result: Result { () throws(RedisError) in try RedisConnection.open(address, timeout: timeout) }))
            }
        } catch {
            leave(Handover(result: .failure(RedisError(.local, "\(error)", at: address))))
        }
    }

    private func leave(_ handover: Handover) {
        contents.withLock { $0.connected = handover }
        bell.ring()
    }

    func close() {
        contents.withLock { $0.isClosed = true }
        bell.ring()
    }

    func take() -> (requests: [RedisExchange], connected: Result<RedisConnection, RedisError>?, isClosed: Bool) {
        bell.quiet()
        return contents.withLock { contents in
            defer { (contents.requests, contents.connected) = ([], nil) }
            return (contents.requests, contents.connected?.result, contents.isClosed)
        }
    }
}

/// The body of a client's thread: does what ``RedisLink`` says.
final class RedisLoop {
    private let mailbox: RedisMailbox
    private let options: RedisOptions
    private var link: RedisLink<RedisPromise>
    private var connection: RedisConnection?

    init(_ address: RedisAddress, options: RedisOptions, mailbox: RedisMailbox) {
        self.mailbox = mailbox
        self.options = options
        link = RedisLink(address, options: options)
    }

    func run() {
        while true {
            let ready = sleepUntilSomethingHappens()
            let mail = mailbox.take()
            if let connected = mail.connected { take(connected) }
            for request in mail.requests { perform(link.submit(request, now: .now)) }
            if ready { exchangeBytes() }
            perform(link.tick(.now))
            if connection?.hasUnsent == true { attempt { connection throws(RedisError) in try connection.flush() } }
            if mail.isClosed { return perform(link.end()) }
        }
    }

    /// Whether the connection has something to read, or is broken.
    private func sleepUntilSomethingHappens() -> Bool {
        var watched = [pollfd(fd: mailbox.bell.descriptor, events: Int16(POLLIN), revents: 0)]
        if let connection {
            watched.append(pollfd(fd: connection.descriptor, events: Int16(POLLIN | (connection.hasUnsent ? POLLOUT : 0)), revents: 0))
        }
        poll(&watched, nfds_t(watched.count), link.deadline.map { ($0 - .now).pollMilliseconds } ?? -1)
        return watched.count == 2 && watched[1].revents & ~Int16(POLLOUT) != 0
    }

    private func take(_ connected: Result<RedisConnection, RedisError>) {
        switch connected {
        case .success(let connection):
            self.connection = connection
            perform(link.connected())
        case .failure(let error): perform(link.failed(error, now: .now))
        }
    }

    private func exchangeBytes() {
        attempt { connection throws(RedisError) in try connection.receive() }
        while let connection {
            var reply: RedisValue?
            attempt { connection throws(RedisError) in reply = try connection.nextReply(script: link.awaitsScript) }
            guard self.connection === connection, let reply else { return }
            perform(link.replied(reply, now: .now))
        }
    }

    private func attempt(_ body: (RedisConnection) throws(RedisError) -> Void) {
        guard let connection else { return }
        do {
            try body(connection)
        } catch {
            perform(link.failed(error, now: .now))
        }
    }

    private func perform(_ actions: [LinkAction<RedisPromise>]) {
        for action in actions {
            switch action {
            case .connect: mailbox.connect(to: link.address, timeout: options.connectTimeout)
            case .send(let commands): for command in commands { connection?.append(command) }
            case .finish(let exchange): exchange.promise.resume(returning: .success(exchange.replies))
            case .fail(let exchange, let error): exchange.promise.resume(returning: .failure(error))
            case .close: connection = nil
            }
        }
    }
}

extension Duration {
    /// For `poll`: rounded up, so that it does not wake just before the time; never negative.
    var pollMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return Int32(clamping: min(seconds, 1_000_000) * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
