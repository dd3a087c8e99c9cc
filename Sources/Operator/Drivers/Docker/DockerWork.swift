import Cell
import HTTP
import Processes
import Redis
import Synchronization

/// What a Docker driver does beside its callers: it follows the engine's events, looks at the containers while something is on its way, and runs errands.
final class DockerWork: Sendable {
    /// How often the containers are listed beside the events while something is on its way, and once after it: an event stream can be dead without an end.
    static let lookEvery = Duration.seconds(3)
    /// How long an event stream is trusted while nothing is on its way; the containers are listed with each that is opened.
    static let trustedFor = Duration.seconds(45)
    /// Between two openings of the event stream.
    static let reopenEvery = Duration.seconds(1)

    /// The stream is open and said nothing of something that happened, or has not been tried for long.
    private struct Doubtful: Error {}

    let cell: CellName
    let engine: DockerEngine
    let clock: OperatorClock
    let books: Bookkeeping<ContainerBook>
    private let log: OperatorLog
    /// Of the last event, by the engine's clock.
    private let last_ns = Mutex<Int64?>(nil)

    init(_ cell: CellName, _ engine: DockerEngine, _ clock: OperatorClock, _ log: OperatorLog) {
        self.log = log
        self.cell = cell
        self.engine = engine
        self.clock = clock
        books = Bookkeeping(ContainerBook(cell))
    }

    /// Until it is cancelled.
    func run() async { await books.run { await self.follow() } }

    // MARK: Following

    private func follow() async {
        while !Task.isCancelled {
            let began = ContinuousClock.now
            do {
                try await followOnce()
            } catch is Doubtful {
            } catch {
                if !Task.isCancelled { books.fail((error as? DriverError) ?? DriverError("\(error)", remedy: "Look into the Docker Engine's log.")) }
            }
            let next = began + Self.reopenEvery
            if next > .now { try? await Task.sleep(until: next) }
        }
    }

    /// One event stream: until it ends, fails, or is in doubt.
    private func followOnce() async throws {
        let time_s = try await engine.negotiate()
        // The head comes before the engine listens: what happens in between is asked for again. Nothing minds being told twice.
        let since = last_ns.withLock { $0 } ?? time_s.map { ($0 - 2) * 1_000_000_000 }
        let stream = try await engine.events(cell, since_ns: since)
        try await look()
        books.synced()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.read(stream) }
            group.addTask { try await self.doubt() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Sees that the event stream tells of what happens.
    ///
    /// - Throws: `Doubtful` when it did not, or when it is to be opened anew.
    private func doubt() async throws {
        let end = ContinuousClock.now + Self.trustedFor
        var seen = books.withBook { $0.lives.mark() }
        while ContinuousClock.now < end {
            try await Task.sleep(for: Self.lookEvery)
            let (isAtRest, mark) = books.withBook { ($0.lives.isAtRest, $0.lives.mark()) }
            guard !isAtRest || mark != seen else { continue }
            if try await look() > 0 { throw Doubtful() }
            seen = mark
        }
        throw Doubtful()
    }

    private func read(_ stream: HTTPStream) async throws {
        var objects = JSONObjects()
        do {
            for try await bytes in stream {
                for object in try objects.add(bytes) { take(object) }
            }
        } catch let error as HTTPError where error.code == .lost || error.code == .timeout {
            // It was cut, or quiet for very long: as good as an end. Whether the engine is gone shows when it is opened again.
        }
    }

    private func take(_ object: [UInt8]) {
        // What cannot be read is left to the next look.
        guard let event = try? EngineMessage.read(EngineMessage.Event.self, from: object) else { return }
        last_ns.withLock { $0 = max($0 ?? 0, event.timeNano ?? 0) }
        let steps = books.withBook { [now = clock.now] in $0.take(event, now: now) }
        for step in steps { perform(step) }
    }

    /// Lists the containers.
    ///
    /// - Returns: how many starts and ends that tells of which no event told.
    @discardableResult
    private func look() async throws -> Int {
        let mark = books.withBook { $0.lives.mark() }
        let list = try await engine.list(cell)
        let steps = books.withBook { [clock] in $0.take(list, since: mark, now: clock.now, unix_s: clock.unix_ms / 1_000) }
        var ends: [(ServerLife, String)] = []
        for step in steps {
            if case .inspect(let life, let container) = step { ends.append((life, container)) } else { perform(step) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (life, container) in ends { group.addTask { try await self.inspect(life, container) } }
            try await group.waitForAll()
        }
        return steps.count {
            switch $0 {
            case .tell, .inspect: true
            default: false
            }
        }
    }

    private func inspect(_ life: ServerLife, _ container: String) async throws {
        let found: EngineMessage.Inspected?
        do { found = try await engine.inspect(container) } catch is DockerEngine.Refusal { found = nil }
        let age = found?.State.finished_s.map { Duration.seconds(max(0, clock.unix_ms / 1_000 - $0)) } ?? .zero
        finish(life, at: clock.now - age, found.map { "\(ContainerEnd($0.State))" } ?? "it ended")
    }

    // MARK: Steps

    func perform(_ step: ContainerBook.Step) {
        switch step {
        case .tell(let server): books.tell(.server(server))
        case .watch(let life, let container):
            books.spawn { await self.attempt("\(life.id)'s process cannot be watched") { try await self.watch(life, container) } }
        case .ended(let life, let container, let end): ended(life, container, end)
        case .inspect(let life, let container):
            books.spawn { await self.attempt("how \(life.id) ended cannot be asked") { try await self.inspect(life, container) } }
        case .remove(let container): books.spawn { await self.remove(container) }
        }
    }

    /// An engine tells of an end when it has tidied up, on a busy machine a second later. On our own machine the process itself tells.
    private func watch(_ life: ServerLife, _ container: String) async throws {
        // For a moment after its start it is not yet the server's program that runs there.
        for wait in [0, 20, 100, 500, 2_000] {
            try await Task.sleep(for: .milliseconds(wait))
            guard let pid = try await engine.inspect(container)?.State.Pid, let process = ProcessIdentity(of: pid) else { return }
            // On another machine the same number is another process.
            guard ProcessIdentity.commandLine(of: pid).contains(life.incarnation.description) else { continue }
            return try ExitWatch.shared.watch(pid, as: process) { [weak self] _ in
                guard let self else { return }
                finish(life, at: clock.now, "its process ended", explained: false)
            }
        }
    }

    /// The end at once, what there is to say about it when it is known.
    private func ended(_ life: ServerLife, _ container: String, _ end: ContainerEnd) {
        let wasAsked = books.withBook { $0.lives[life]?.seen.asked ?? false }
        guard end.hasLastWords, !wasAsked else { return finish(life, at: clock.now, "\(end)") }
        finish(life, at: clock.now, "\(end)", explained: false)
        books.spawn {
            let words = await self.engine.lastWords(container, within: .seconds(2))
            self.finish(life, at: self.clock.now, words.isEmpty ? "\(end)" : "\(end): \(words)")
        }
    }

    private func finish(_ life: ServerLife, at: Moment, _ reason: String, explained: Bool = true) {
        if let seen = books.withBook({ $0.finish(life, at: at, reason, explained: explained) }) { books.tell(.server(seen)) }
    }

    /// Kills what its grace has not ended, as often as it takes: the engine may be away just then.
    func end(_ life: ServerLife, _ container: String, after grace: Duration) async {
        var pause = grace
        while true {
            // The driver is closed: another operator sees to its containers.
            do { try await Task.sleep(for: pause) } catch { return }
            guard books.withBook({ $0.lives[life].map { !$0.seen.isGone } ?? false }) else { return }
            await attempt("\(life.id) is not killed yet") { _ = try await engine.signal(container, "SIGKILL") }
            pause = .seconds(1)
        }
    }

    /// What cannot be removed now is tried again at the next look.
    func remove(_ container: String) async {
        await attempt("the container \(container.prefix(12)) is not removed yet") {
            if try await engine.remove(container) { books.withBook { $0.lives.removed(container) } }
        }
    }

    /// What fails here the next look makes good, or the engine's own events: it is told of, and holds up nothing.
    private func attempt(_ problem: String, _ work: () async throws -> Void) async {
        do { try await work() } catch {
            // The driver is being closed.
            if !Task.isCancelled { log.warning("\(cell): \(problem): \(error)") }
        }
    }
}
