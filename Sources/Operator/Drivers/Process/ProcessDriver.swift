import Cell
import FoundationEssentials
import Glibc
import Processes
import Redis
import Synchronization
import Threads

/// Runs servers as processes of this machine, each in a session of its own, so that they outlive the operator and its terminal.
///
///     DIRECTORY/CELL/servers/messaging-3_5f0c….json   who runs, by process id and start time
///     DIRECTORY/CELL/logs/messaging-3.log             what it says
///
/// An operator that comes later adopts what runs: an id counts only with its start time, and only while the command line names the incarnation.
public final class ProcessDriver: Driver {
    private struct Entry {
        var record: ServerRecord
        var seen: RunningServer
        /// Asked to stop; killed then.
        var killAt: Moment?
    }

    private struct State {
        var entries: [ServerLife: Entry] = [:]
        var listeners: [Int: AsyncStream<DriverEvent>.Continuation] = [:]
        var nextListener = 0
        var tidiedAt: Moment?
    }

    private let cell: CellName
    private let redis: RedisAddress
    private let spec: RunSpec.Process
    private let executable: String
    private let records: ServerRecords
    public let logFolder: String
    private let logs: ServerLogs
    private let clock: OperatorClock
    private let state = Mutex(State())
    private let thread: WorkThread
    /// Names of records that were damaged and set aside.
    public let damaged: [String]

    /// Adopts the servers that run, and remembers those that ended while nobody looked. Blocks for as long as the folder takes to read.
    ///
    /// - Throws: `FileError` when the folder cannot be used, `ThreadError`.
    public init(_ cell: CellName, _ spec: RunSpec.Process, redis: RedisAddress, clock: OperatorClock) throws {
        self.cell = cell
        self.redis = redis
        self.spec = spec
        self.clock = clock
        executable = spec.executable ?? Self.besideOperator
        let folder = "\(spec.directory)/\(cell)"
        logFolder = "\(folder)/logs"
        logs = ServerLogs(folder: logFolder)
        records = ServerRecords(folder: "\(folder)/servers")
        try Files.makeFolder(logFolder)
        try Files.makeFolder(records.folder)
        let loaded = try records.load()
        damaged = loaded.damaged
        let box = WeakDriver()
        thread = try WorkThread("process-driver", every: .milliseconds(250)) { box.driver?.tick() }
        for record in loaded.records { try adopt(record) }
        box.set(self)
    }

    private static var besideOperator: String {
        var path = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &path, path.count - 1)
        let own = String(decoding: path[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return (own.lastIndex(of: "/").map { String(own[...$0]) } ?? "") + "cell-server"
    }

    // MARK: What runs

    /// Also those that another operator with the same folder has started or forgotten since.
    public func servers() async throws -> [RunningServer] {
        try await thread.run { [self] in
            let found = try records.load().records
            for record in found where state.withLock({ $0.entries[record.life] == nil }) {
                // Another operator may be about to write down which process it is.
                if record.process == nil, Self.unix_ms - record.started_ms < 5_000 { continue }
                try adopt(record)
            }
            let lives = Set(found.map(\.life))
            state.withLock { state in
                for (life, entry) in state.entries where entry.seen.isGone && !lives.contains(life) { state.entries[life] = nil }
            }
            return present
        }
    }

    /// At once, as events said.
    var present: [RunningServer] { state.withLock { $0.entries.values.map(\.seen) }.sorted { $0.life < $1.life } }

    public func events() -> AsyncStream<DriverEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: DriverEvent.self)
        let number = state.withLock { state in
            state.nextListener += 1
            state.listeners[state.nextListener] = continuation
            return state.nextListener
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[number] = nil } }
        return stream
    }

    private func tell(_ server: RunningServer) {
        for listener in state.withLock({ Array($0.listeners.values) }) { listener.yield(.server(server)) }
    }

    private func adopt(_ record: ServerRecord) throws {
        var record = record
        let age = Duration.milliseconds(max(0, Self.unix_ms - record.started_ms))
        var seen = RunningServer(record.life, started: clock.now - age, zone: record.zone, port: record.port, pid: record.process?.pid)
        seen.asked = record.asked
        seen.template = record.template ?? ""
        if record.ended_ms == nil { record.process = Self.running(record) }
        guard record.ended_ms == nil, let process = record.process else {
            let ended = clock.now - .milliseconds(max(0, Self.unix_ms - (record.ended_ms ?? Self.unix_ms)))
            let reason = record.reason ?? "it ended while no operator looked"
            seen.state = .exited(at: ended, reason: reason)
            record.ended_ms = record.ended_ms ?? Self.unix_ms
            record.reason = reason
            state.withLock { $0.entries[record.life] = Entry(record: record, seen: seen) }
            return
        }
        seen.pid = process.pid
        state.withLock { $0.entries[record.life] = Entry(record: record, seen: seen) }
        try watch(process.pid, as: process, record.life)
    }

    /// The process of `record` if it still runs: the same start time, and the incarnation in its command line.
    private static func running(_ record: ServerRecord) -> ProcessIdentity? {
        func isOurs(_ pid: pid_t) -> Bool { ProcessIdentity.commandLine(of: pid).contains(record.incarnation.description) }
        if let process = record.process {
            // For a moment after its start a process has no command line yet; its id and start time are its own already.
            return process.isAlive && (isOurs(process.pid) || ProcessIdentity.commandLine(of: process.pid).isEmpty) ? process : nil
        }
        // The operator died between starting it and writing its id down.
        let pids = ((try? Files.names(in: "/proc")) ?? []).compactMap { pid_t($0) }
        return pids.first { isOurs($0) }.flatMap { ProcessIdentity(of: $0) }
    }

    private static var unix_ms: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    // MARK: Starting

    public func start(_ life: ServerLife, as template: ServerTemplate) async throws {
        try await thread.run { try self.startNow(life, template) }
    }

    private func startNow(_ life: ServerLife, _ template: ServerTemplate) throws {
        guard state.withLock({ $0.entries[life] == nil }) else { return }
        var record = ServerRecord(
            server: life.id, incarnation: life.incarnation, process: nil, zone: template.zone, port: template.port, started_ms: Self.unix_ms)
        record.template = template.name
        try records.save(record)
        let pid: pid_t
        do {
            pid = try Spawn(executable, template.arguments(life, redis), environment: environment, output: logs.path(of: life.id)).start()
        } catch {
            records.remove(record)
            throw DriverError("\(error)", remedy: "Name the server's program in spec.run.process.executable, or put cell-server beside cell-operator.")
        }
        record.process = ProcessIdentity(of: pid)
        var seen = RunningServer(life, started: clock.now, zone: template.zone, port: template.port, pid: pid)
        seen.template = template.name
        state.withLock { $0.entries[life] = Entry(record: record, seen: seen) }
        try records.save(record)
        tell(seen)
        try watch(pid, as: nil, life)
    }

    private var environment: [String: String] { spec.environment.merging(["CELL_REDIS": redis.withPassword]) { $1 } }

    // MARK: Ending

    private func watch(_ pid: pid_t, as process: ProcessIdentity?, _ life: ServerLife) throws(ThreadError) {
        try ExitWatch.shared.watch(pid, as: process) { [weak self] end in self?.ended(life, end) }
    }

    /// The operator hears of it first; the disk follows.
    private func ended(_ life: ServerLife, _ end: ProcessEnd) {
        let words = end == .signal(SIGKILL) || end == .code(0) ? "" : logs.lastWords(of: life.id)
        let wasAsked = state.withLock { $0.entries[life]?.seen.asked ?? false }
        let reason = words.isEmpty || wasAsked ? "\(end)" : "\(end): \(words)"
        let entry = state.withLock { state -> Entry? in
            guard var entry = state.entries[life], entry.record.ended_ms == nil else { return nil }
            entry.record.ended_ms = Self.unix_ms
            entry.record.reason = reason
            entry.seen.state = .exited(at: clock.now, reason: reason)
            entry.killAt = nil
            state.entries[life] = entry
            return entry
        }
        guard let entry else { return }
        tell(entry.seen)
        // In turn with forgetting, which must be the last word.
        thread.post { [weak self] in
            guard let self, state.withLock({ $0.entries[life] != nil }) else { return }
            try? records.save(entry.record)
        }
    }

    public func stop(_ life: ServerLife, grace: Duration) async throws { try await ask(life, SIGTERM, killAt: clock.now + grace) }

    public func kill(_ life: ServerLife) async throws { try await ask(life, SIGKILL, killAt: clock.now) }

    private func ask(_ life: ServerLife, _ signal: Int32, killAt: Moment) async throws {
        try await thread.run { [self] in
            let entry = state.withLock { state -> Entry? in
                guard var entry = state.entries[life], !entry.seen.isGone else { return nil }
                entry.seen.state = .stopping
                entry.seen.asked = true
                entry.record.asked = true
                entry.killAt = min(entry.killAt ?? killAt, killAt)
                state.entries[life] = entry
                return entry
            }
            guard let entry else { return }
            try records.save(entry.record)
            tell(entry.seen)
            entry.record.process?.signalGroup(signal)
        }
    }

    public func forget(_ life: ServerLife) async throws {
        try await thread.run { [self] in
            let entry = state.withLock { state -> Entry? in
                guard let entry = state.entries[life], entry.seen.isGone else { return nil }
                state.entries[life] = nil
                return entry
            }
            if let entry { records.remove(entry.record) }
        }
    }

    /// Ends those whose grace is over, and keeps the logs small.
    private func tick() {
        let now = clock.now
        let (overdue, living, tidies) = state.withLock { state in
            let overdue = state.entries.values.filter { !$0.seen.isGone && $0.killAt.map { $0 <= now } ?? false }
            let tidies = state.tidiedAt.map { $0 + .seconds(10) <= now } ?? true
            if tidies { state.tidiedAt = now }
            return (overdue, Set(state.entries.values.filter { !$0.seen.isGone }.map(\.seen.life.id)), tidies)
        }
        for entry in overdue { entry.record.process?.signalGroup(SIGKILL) }
        if tidies { logs.tidy(living: living) }
    }
}

/// Lets the driver's thread end with the driver.
private final class WeakDriver: Sendable {
    // Only read and written under the lock, as the reference itself counts atomically.
    private struct Reference: @unchecked Sendable { weak var driver: ProcessDriver? }
    private let reference = Mutex(Reference())
    var driver: ProcessDriver? { reference.withLock { $0.driver } }
    func set(_ driver: ProcessDriver) { reference.withLock { $0.driver = driver } }
}

extension RedisAddress {
    /// With the password, for a child's environment.
    var withPassword: String {
        guard let password, case .tcp = endpoint else { return description }
        func encoded(_ text: String) -> String {
            text.utf8.map { byte in
                let isPlain = (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                return isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }.joined()
        }
        return "redis://\(encoded(user ?? "")):\(encoded(password))@" + description.dropFirst("redis://".count)
    }
}
