import Cell
import Redis
import Synchronization

/// Keeps the newest assignment, settings and spec generation of a cell, for servers, connect servers and operators that do not lead.
///
/// It listens to the channels, hears the answers to lease renewals, and reads everything again at every (re)connect. An assignment that is absent, malformed
/// or older than the one it has is ignored. While Redis is away it goes on with what it has.
public final class AssignmentFollower: Sendable {
    /// What is known; each part only ever gets newer.
    public struct Known: Sendable, Equatable {
        /// Of epoch `none` until one was seen.
        public var assignment = Assignment()
        /// Nil until some were seen.
        public var settings: Settings?
        /// Of the spec in Redis, 0 until one was seen. A cell that is made anew may come back with a lower one.
        public var generation: Int64 = 0
    }

    public enum Trouble: Sendable {
        /// Redis is away or refuses.
        case redis(RedisError)
        /// Something in Redis is malformed and was ignored.
        case malformed(BlackboardError)
    }

    private enum Order {
        case change(BlackboardChange)
        case read
    }

    private struct State {
        var view = AssignmentView()
        var known = Known()
        var readIsOrdered = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var hasEnded = false
    }

    private let board: CellBlackboard
    private let state = Mutex(State())
    private let orders: AsyncStream<Order>
    private let ordering: AsyncStream<Order>.Continuation
    private let pauses: AsyncStream<Duration>
    private let pausing: AsyncStream<Duration>.Continuation
    private let onChange: @Sendable (Known) -> Void
    private let onTrouble: @Sendable (Trouble) -> Void

    /// - Parameters:
    ///   - onChange: called with what is known after each change, one call after the other, in order.
    ///   - onTrouble: called when reading fails, each time it does; calls are at least 250 ms apart.
    public init(
        _ board: CellBlackboard, onChange: @escaping @Sendable (Known) -> Void, onTrouble: @escaping @Sendable (Trouble) -> Void = { _ in }
    ) {
        self.board = board
        self.onChange = onChange
        self.onTrouble = onTrouble
        (orders, ordering) = AsyncStream.makeStream()
        (pauses, pausing) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    public var known: Known { state.withLock { $0.known } }

    /// Follows until its task is cancelled. Once only.
    /// - Throws: `BlackboardError` when this machine has no thread or descriptor left to listen with.
    public func run() async throws {
        let listener = try BlackboardListener(to: [.assignment, .settings, .spec], of: board)
        defer { end() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [ordering] in
                for await change in listener.changes { ordering.yield(.change(change)) }
            }
            group.addTask { await self.obey() }
            group.addTask { await self.readAgainAfterPauses() }
            await group.next()
            group.cancelAll()
        }
        listener.close()
    }

    /// What a lease's renewal told.
    public func hear(_ renewal: Renewal) {
        let isNews = state.withLock { state in
            state.view.isBehind(AssignmentVersion(term: renewal.term, epoch: renewal.epoch))
                || renewal.settingsEpoch > (state.known.settings?.epoch ?? 0)
                || renewal.generation != state.known.generation && renewal.generation != 0
        }
        if isNews { orderRead() }
    }

    /// Reads the assignment again when `epoch`, which somebody has seen, is above the one known here. Returns when that was done or failed: at most
    /// about as long as a command to Redis may take.
    public func catchUp(to epoch: Epoch) async {
        await withCheckedContinuation { waiter in
            let mustWait = state.withLock { state in
                guard !state.hasEnded, epoch > state.known.assignment.epoch else { return false }
                state.waiting.append(waiter)
                return true
            }
            if mustWait { orderRead() } else { waiter.resume() }
        }
    }

    private func orderRead() {
        let isNew = state.withLock { state in
            defer { state.readIsOrdered = true }
            return !state.readIsOrdered
        }
        if isNew { ordering.yield(.read) }
    }

    private func end() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            state.hasEnded = true
            return state.waiting
        }
        for waiter in waiting { waiter.resume() }
        ordering.finish()
    }
}

extension AssignmentFollower {
    /// One order after the other, so that changes are told in order.
    private func obey() async {
        for await order in orders {
            switch order {
            case .read: await read()
            case .change(.assignment(let epoch, let term, let delta)): take(delta, AssignmentVersion(term: term, epoch: epoch))
            case .change(.deaf(let error)): onTrouble(.redis(error))
            case .change: orderRead()
            }
        }
    }

    private func take(_ delta: AssignmentDelta?, _ version: AssignmentVersion) {
        var outcome = AssignmentView.Outcome.behind
        let known = state.withLock { state in
            if let delta { outcome = state.view.take(delta) } else if !state.view.isBehind(version) { outcome = .unchanged }
            state.known.assignment = state.view.newest
            return state.known
        }
        switch outcome {
        case .changed: onChange(known)
        case .behind: orderRead()
        case .unchanged: break
        }
    }

    private func read() async {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            state.readIsOrdered = false
            return state.waiting
        }
        do {
            try await readWhatIsNew()
        } catch let error as BlackboardError {
            onTrouble(error.redis.map { .redis($0) } ?? .malformed(error))
            // What is malformed stays so until somebody writes it, and then the channel tells.
            pausing.yield(error.redis == nil ? .seconds(2) : .milliseconds(250))
        } catch {
            pausing.yield(.milliseconds(250))
        }
        for waiter in waiting { waiter.resume() }
    }

    /// Takes each part as soon as it is read, so that one that is malformed does not hold up the others.
    private func readWhatIsNew() async throws {
        let before = known
        let heads = try await board.heads()
        if heads.generation != 0 { change { $0.known.generation = heads.generation } }
        if heads.version > before.assignment.version {
            let read = try await board.assignment()
            change { state in
                _ = state.view.take(read: read)
                state.known.assignment = state.view.newest
            }
        }
        if heads.settingsEpoch > (before.settings?.epoch ?? 0), let settings = try await board.settings() {
            change { if settings.epoch > ($0.known.settings?.epoch ?? 0) { $0.known.settings = settings } }
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let (after, changed) = state.withLock { state in
            let before = state.known
            body(&state)
            return (state.known, state.known != before)
        }
        if changed { onChange(after) }
    }

    private func readAgainAfterPauses() async {
        for await pause in pauses {
            try? await Task.sleep(for: pause)
            orderRead()
        }
    }
}

extension CellBlackboard {
    /// The versions of what servers follow.
    package struct Heads: Equatable, Sendable {
        package var version: AssignmentVersion
        package var settingsEpoch: Int64
        package var generation: Int64
    }

    package func heads() async throws -> Heads {
        do {
            let answers = try await redis.pipeline([
                RedisCommand("HMGET", keys.assignment, "epoch", "term"), RedisCommand("HGET", keys.settings, "epoch"),
                RedisCommand("HGET", keys.spec, "generation"),
            ])
            let version = try answers[0].get().array ?? []
            return Heads(
                version: AssignmentVersion(term: Term(version.last?.integer ?? 0), epoch: Epoch(version.first?.integer ?? 0)),
                settingsEpoch: try answers[1].get().integer ?? 0, generation: try answers[2].get().integer ?? 0)
        } catch let error as RedisError {
            throw BlackboardError(error)
        }
    }
}
