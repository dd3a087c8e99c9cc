import Cell

/// What this server knows of one partition's log, and who listens to it. Owners, those that will be, and standbys keep the same, so that
/// being promoted takes no time.
///
///     readingBack ──▶ warm
///     start of the reading, 2 W and a margin ago          end that was asked for when it began: from here on every verdict is right
final class PartitionLog {
    /// What the assignment wants of this server.
    enum Role: Equatable { case owns, opens, leaves, shadows, none }

    let partition: Partition
    let reading: UInt64
    private(set) var role = Role.none
    private var pace = ReadingPace.prompt
    var once: OnceRule
    var window = RecentWindow(start: 0)
    /// The next offset to read. Nil until the reading has begun.
    var position: Int64?
    private(set) var warmAt: Int64 = 0
    private(set) var isWarm = false
    /// Log time from which every verdict is right, since 2 W and a margin before it are read.
    private let rightFrom_ms: Int64
    /// Whether the window has begun where the verdicts are right.
    private var windowHasBegun = false
    /// When the last record was read, or the last tick written; monotonic.
    var stirred_ms: Int64
    private(set) var listeners: [UserID: [Conversation]] = [:]
    /// Of all of these.
    private(set) var streams = 0
    /// Sent by its users and handed to them, since the reading began.
    var messages = 0
    var leaving: Leaving?

    var query: UInt64?
    var askAgain = false

    /// The partition has another owner, and clients are still here.
    struct Leaving {
        /// Whom they are sent to.
        var target: Incarnation?
        /// Tells this leaving's grace from an earlier one's.
        var attempt: UInt64
    }

    init(_ partition: Partition, reading: UInt64, once: OnceRule, rightFrom_ms: Int64, now: Now) {
        self.rightFrom_ms = rightFrom_ms
        self.partition = partition
        self.reading = reading
        self.once = once
        stirred_ms = now.monotonic_ms
    }

    /// - Returns: the pace to read at from now on; nil: as before.
    func take(_ role: Role) -> ReadingPace? {
        self.role = role
        // Clients that are still here are served as before.
        let wanted = role == .shadows && listeners.isEmpty ? ReadingPace.relaxed : .prompt
        defer { pace = wanted }
        return wanted == pace ? nil : wanted
    }

    /// The reading begins at `start`; `end` was the log's end before that. `isWhole`: there is nothing before `start`.
    func begin(at start: Int64, end: Int64, isWhole: Bool) {
        position = start
        warmAt = end
        window = RecentWindow(start: isWhole ? start : max(start, end))
        windowHasBegun = isWhole
        isWarm = start >= end
    }

    /// Takes the next record's verdict, and keeps it when it counts.
    func take(_ record: LogEntry, embedded: Bool, partitions: Int) -> RecentWindow.Entry? {
        position = record.offset + 1
        isWarm = isWarm || record.offset + 1 >= warmAt
        guard let content = Record(bytes: record.bytes) else { return nil }
        let time_ms = embedded ? content.produced_ms : record.time_ms
        beginWindow(at: record.offset, time_ms)
        guard case .message(let message) = content else {
            once.observe(time_ms)
            return nil
        }
        guard once.judge(message.id, from: message.sender, to: message.receiver, at: time_ms) == .first, record.offset >= window.start else { return nil }
        return keep(message, at: record.offset, time_ms: time_ms, partitions: partitions)
    }

    /// The window begins with the first record whose verdict is right, at the latest where the log ended when the reading began.
    private func beginWindow(at offset: Int64, _ time_ms: Int64) {
        guard !windowHasBegun, time_ms >= rightFrom_ms || offset >= window.start else { return }
        windowHasBegun = true
        if offset < window.start { window = RecentWindow(start: offset) }
    }

    private func keep(_ message: LoggedMessage, at offset: Int64, time_ms: Int64, partitions: Int) -> RecentWindow.Entry? {
        var users = [message.receiver, message.sender].filter { $0.partition(of: partitions) == partition }
        if message.receiver == message.sender { users = Array(users.prefix(1)) }
        guard let first = users.first else { return nil }
        return window.append(Self.frame(of: message, at: offset, time_ms: time_ms), at: offset, time_ms: time_ms, for: first, and: users.dropFirst().first)
    }

    private static func frame(of logged: LoggedMessage, at offset: Int64, time_ms: Int64) -> [UInt8] {
        var message = Message()
        message.id = logged.id.bytes
        message.offset = offset
        message.sender = logged.sender.value
        message.receiver = logged.receiver.value
        message.body = logged.body
        message.time_ms = time_ms
        return grpcFramed(ServerFrame.message(message).encode())
    }

    /// The log's end was reached at `next`.
    func caughtUp(_ next: Int64) {
        guard let position, next >= position else { return }
        self.position = next
        isWarm = isWarm || next >= warmAt
    }

    // MARK: who listens

    var everyListener: [Conversation] { listeners.values.joined().sorted { $0.id < $1.id } }

    func add(_ conversation: Conversation) {
        listeners[conversation.user, default: []].append(conversation)
        streams += 1
    }

    func remove(_ conversation: Conversation) {
        guard var rest = listeners.removeValue(forKey: conversation.user) else { return }
        streams -= rest.count
        rest.removeAll { $0 === conversation }
        streams += rest.count
        if !rest.isEmpty { listeners[conversation.user] = rest }
    }
}
