import Synchronization
import Threads

/// A client of one Redis, for any number of tasks at once.
///
/// It connects at the first request and again whenever the connection is gone, resolving the name, AUTH and SELECT included. While there is no
/// connection, requests fail at once with the reason. Everything it throws is a ``RedisError``. Blocking calls run on a thread of its own;
/// requests of several tasks share the connection in a pipeline. It ends with its last reference, or with ``close()``.
public final class RedisClient: Sendable {
    public let address: RedisAddress
    let options: RedisOptions
    private let mailbox: RedisMailbox
    /// The names that Redis gave to scripts: the SHA-1 of their text.
    private let scripts = Mutex<[RedisScript: String]>([:])

    /// - Throws: ``RedisError`` with code `local` when the machine has no thread or descriptor left. It does not connect yet.
    public init(_ address: RedisAddress, options: RedisOptions = RedisOptions()) throws(RedisError) {
        self.address = address
        self.options = options
        do {
            let mailbox = try RedisMailbox()
            try OwnThread.start("redis") { RedisLoop(address, options: options, mailbox: mailbox).run() }
            self.mailbox = mailbox
        } catch {
            throw RedisError(.local, "\(error)", at: address)
        }
    }

    deinit { close() }

    /// Ends the connection; what is under way fails with `closed`. Doing it again changes nothing.
    public func close() {
        mailbox.close()
    }

    /// One command's answer: `try await redis.command("HSET", key, "epoch", 7)`.
    ///
    /// - Throws: ``RedisError``, also for an error that Redis answers.
    @discardableResult
    public func command(_ arguments: any RedisArgument..., timeout: Duration? = nil) async throws -> RedisValue {
        try await command(RedisCommand(arguments: arguments), timeout: timeout)
    }

    @discardableResult
    public func command(_ command: RedisCommand, timeout: Duration? = nil) async throws -> RedisValue {
        try await pipeline([command], timeout: timeout)[0].get()
    }

    /// Sends all commands at once; the answers come in their order, a refused command is a failure in its place.
    ///
    /// Other clients' commands may run in between; wrap them in MULTI and EXEC where that matters.
    /// - Throws: ``RedisError`` when not all answers came.
    public func pipeline(_ commands: [RedisCommand], timeout: Duration? = nil) async throws -> [Result<RedisValue, RedisError>] {
        guard !commands.isEmpty else { return [] }
        guard commands.allSatisfy({ !$0.arguments.isEmpty }) else { throw RedisError(.other("ERR"), "a command has no name", at: address) }
        let deadline = ContinuousClock.now + (timeout ?? options.commandTimeout)
        let result: Result<[Result<RedisValue, RedisError>], RedisError> = await withCheckedContinuation { promise in
            mailbox.put(RedisExchange(commands: commands, deadline: deadline, promise: promise))
        }
        return try result.get()
    }

    /// Runs `script` by its name, and with its whole text when this Redis does not know it (yet, or any more).
    ///
    /// - Throws: ``RedisError``; a refusal of the script's own has the code `script`.
    @discardableResult
    public func eval(
        _ script: RedisScript, keys: [String], arguments: [any RedisArgument] = [], timeout: Duration? = nil
    ) async throws -> RedisValue {
        let whole = RedisCommand(script, keys: keys, arguments: arguments)
        guard let name = scripts.withLock({ $0[script] }) else {
            let answers = try await pipeline([whole, RedisCommand("SCRIPT", "LOAD", script.text)], timeout: timeout)
            // Where SCRIPT is not permitted the text is sent each time.
            if let name = try? answers[1].get().string { scripts.withLock { $0[script] = name } }
            return try answers[0].get()
        }
        do {
            return try await command(RedisCommand(arguments: ["EVALSHA", name, keys.count] + keys + arguments), timeout: timeout)
        } catch let error as RedisError where error.code == .noScript {
            return try await command(whole, timeout: timeout)
        }
    }
}
