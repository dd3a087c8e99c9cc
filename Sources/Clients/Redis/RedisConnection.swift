import CHiredis
import CLinux
import Glibc

/// One connection to Redis: the only owner of a hiredis context. Used by one thread at a time.
///
/// After any error it throws, the connection is of no use any more.
final class RedisConnection {
    let address: RedisAddress
    private let context: UnsafeMutablePointer<redisContext>

    /// Whether bytes wait for the socket to take them.
    private(set) var hasUnsent = false

    var descriptor: Int32 { context.pointee.fd }

    private init(address: RedisAddress, context: UnsafeMutablePointer<redisContext>) {
        self.address = address
        self.context = context
    }

    deinit { redisFree(context) }

    /// Resolves, connects, and says who we are; blocks at most about `timeout`, and while the name is resolved.
    static func open(_ address: RedisAddress, timeout: Duration) throws(RedisError) -> RedisConnection {
        let limit = timeval(timeout)
        let opened: UnsafeMutablePointer<redisContext>? =
            switch address.endpoint {
            case .tcp(let host, let port): redisConnectWithTimeout(host, Int32(port), limit)
            case .unix(let path): redisConnectUnixWithTimeout(path, limit)
            }
        let code = errno
        guard let opened else { throw RedisError(.local, "out of memory", at: address) }
        let connection = RedisConnection(address: address, context: opened)
        guard opened.pointee.err == 0 else { throw connection.failure(systemError: code, whileConnecting: true) }
        // Programs that this one starts shall not inherit it.
        _ = fcntl(connection.descriptor, F_SETFD, FD_CLOEXEC)
        try connection.introduce(limit)
        connection.becomeNonblocking()
        return connection
    }

    /// AUTH and SELECT, and a PING that shows whether anybody is at home, in the context's first, blocking mode.
    private func introduce(_ limit: timeval) throws(RedisError) {
        redisSetTimeout(context, limit)
        var commands: [RedisCommand] = []
        if let password = address.password {
            commands.append(RedisCommand(arguments: ["AUTH"] + (address.user.map { [$0] } ?? []) + [password]))
        }
        if address.database != 0 { commands.append(RedisCommand("SELECT", address.database)) }
        commands.append(RedisCommand("PING"))
        for command in commands {
            append(command)
            var reply: UnsafeMutableRawPointer?
            guard redisGetReply(context, &reply) == REDIS_OK else { throw failure(systemError: errno) }
            guard case .error(var error)? = try value(owned: reply, script: false) else { continue }
            let isOther = if case .other = error.code { true } else { false }
            // A PING that is refused for the time being, or for this user, is answered all the same.
            if command == commands.last, !isOther { continue }
            if command.arguments[0] == "AUTH".redisBytes, isOther { error.code = .wrongPass }
            throw error
        }
    }

    private func becomeNonblocking() {
        context.pointee.flags &= ~REDIS_BLOCK
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        guard case .tcp = address.endpoint else { return }
        // A peer that vanished without a word is noticed in about 4 s even when nobody asks anything.
        for (level, option, value) in [
            (SOL_SOCKET, SO_KEEPALIVE, 1), (Int32(IPPROTO_TCP), TCP_KEEPIDLE, 2), (Int32(IPPROTO_TCP), TCP_KEEPINTVL, 1), (Int32(IPPROTO_TCP), TCP_KEEPCNT, 2),
        ] as [(Int32, Int32, Int32)] {
            withUnsafeBytes(of: value) { _ = setsockopt(descriptor, level, option, $0.baseAddress, socklen_t($0.count)) }
        }
    }

    /// Puts `command` into the outgoing buffer.
    func append(_ command: RedisCommand) {
        let bytes = command.arguments.flatMap { $0 }
        let lengths = command.arguments.map(\.count)
        bytes.withUnsafeBytes { raw in
            // An empty buffer has no address, but hiredis still wants one for an empty argument.
            let start = raw.baseAddress?.assumingMemoryBound(to: CChar.self) ?? UnsafePointer(context.pointee.obuf)
            var at = 0
            var pointers: [UnsafePointer<CChar>?] = []
            for length in lengths {
                pointers.append(start.map { $0 + at })
                at += length
            }
            _ = redisAppendCommandArgv(context, Int32(lengths.count), &pointers, lengths)
        }
        hasUnsent = true
    }

    /// Sends what the socket takes.
    func flush() throws(RedisError) {
        var done: Int32 = 0
        guard redisBufferWrite(context, &done) == REDIS_OK else { throw failure(systemError: errno) }
        hasUnsent = done == 0
    }

    /// Takes in what the socket has.
    func receive() throws(RedisError) {
        guard redisBufferRead(context) == REDIS_OK else { throw failure(systemError: errno) }
    }

    /// The next whole answer among what was received; an error answer is a value here.
    func nextReply(script: Bool) throws(RedisError) -> RedisValue? {
        var reply: UnsafeMutableRawPointer?
        guard redisGetReplyFromReader(context, &reply) == REDIS_OK else { throw failure(systemError: errno) }
        return try value(owned: reply, script: script)
    }

    private func value(owned reply: UnsafeMutableRawPointer?, script: Bool) throws(RedisError) -> RedisValue? {
        guard let reply else { return nil }
        defer { freeReplyObject(reply) }
        return try value(reply.assumingMemoryBound(to: redisReply.self).pointee, script: script)
    }

    /// hiredis refuses arrays nested deeper than 7, so this ends.
    private func value(_ reply: redisReply, script: Bool) throws(RedisError) -> RedisValue {
        let bytes = UnsafeRawBufferPointer(start: reply.str, count: reply.str == nil ? 0 : reply.len)
        switch reply.type {
        case REDIS_REPLY_STRING: return .bytes(Array(bytes))
        case REDIS_REPLY_STATUS: return .status(String(decoding: bytes, as: UTF8.self))
        case REDIS_REPLY_INTEGER: return .integer(reply.integer)
        case REDIS_REPLY_NIL: return .null
        case REDIS_REPLY_ERROR: return .error(RedisError(reply: String(decoding: bytes, as: UTF8.self), at: address, script: script))
        case REDIS_REPLY_ARRAY:
            var values: [RedisValue] = []
            values.reserveCapacity(reply.elements)
            for element in UnsafeBufferPointer(start: reply.element, count: reply.elements) {
                guard let element else { throw RedisError(.garbled, "an array lacks an element", at: address) }
                values.append(try value(element.pointee, script: script))
            }
            return .array(values)
        default: throw RedisError(.garbled, "answer of unknown type \(reply.type)", at: address)
        }
    }

    /// What the context's error is for us.
    private func failure(systemError: Int32, whileConnecting: Bool = false) -> RedisError {
        let text = withUnsafeBytes(of: context.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let code: RedisError.Code =
            switch context.pointee.err {
            case REDIS_ERR_IO where systemError == EAGAIN || systemError == ETIMEDOUT || systemError == EINPROGRESS: .timeout
            case REDIS_ERR_IO where whileConnecting && (systemError == EMFILE || systemError == ENFILE): .local
            case REDIS_ERR_IO where whileConnecting: .refused
            case REDIS_ERR_IO, REDIS_ERR_EOF: .lost
            case REDIS_ERR_OTHER where whileConnecting: .unknownHost
            case REDIS_ERR_OOM: .local
            default: .garbled
            }
        return RedisError(code, text, at: address)
    }
}

extension timeval {
    /// At least a millisecond: zero would mean "wait for ever".
    init(_ duration: Duration) {
        let duration = max(duration, .milliseconds(1))
        self.init(tv_sec: Int(duration.components.seconds), tv_usec: Int(duration.components.attoseconds / 1_000_000_000_000))
    }
}
