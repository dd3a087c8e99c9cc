import Cell
import Support

@testable import Servers

/// A whole cell in miniature on a random walk: one sender with one device, two servers that both serve everybody (one is cut off and does not know
/// better), a log, producers that die while what they held may still land, streams that break, refusals at any moment, receivers that resume.
///
/// A seed repeats the walk. `problems` says which promise was broken.
final class DeliveryModel {
    /// The rules of contract and design; a test switches one off to see that the model notices.
    struct Rules {
        /// A server whose producer is discarded forgets what that held.
        var lossIsTold = true
        /// A client begins a round with everything unacknowledged, not from the refused message on.
        var roundBeginsWithAll = true
        /// A stream begins with everything unacknowledged.
        var streamBeginsWithAll = true
    }

    static let log = CoreBench.log
    static let sender: UInt64 = 42
    let rules: Rules
    var random: SeededRandom
    var now = Now(monotonic_ms: 0, wall_ms: CoreBench.began_ms + 3_600_000)
    var logs: [[LogEntry]]
    var servers: [ModelServer] = []
    var sender: ModelSender
    var receivers: [ModelReceiver] = []
    private(set) var problems: [String] = []
    private let partitions = 3

    init(seed: UInt64, rules: Rules = Rules()) {
        self.rules = rules
        random = SeededRandom(seed)
        logs = Array(repeating: [], count: partitions)
        sender = ModelSender(messages: 14)
        servers = (0..<2).map { ModelServer(number: $0 + 1, partitions: partitions, now: now) }
        // One receiver in the sender's own partition, one elsewhere, and the sender's other device.
        let own = UserID(Self.sender)!.partition(of: partitions)
        let near = (1...).first { $0 != Self.sender && UserID($0)!.partition(of: partitions) == own }!
        let far = (1...).first { UserID($0)!.partition(of: partitions) != own }!
        receivers = [near, far, Self.sender].map { ModelReceiver(user: $0) }
        sender.targets = [near, far]
    }

    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }

    // MARK: the walk

    func run() -> [String] {
        for _ in 0..<500 { step(faults: true) }
        var rest = 6_000
        while rest > 0, !isDone {
            for _ in 0..<20 { step(faults: false) }
            rest -= 20
        }
        if !isDone { problems.append("stuck with \(sender.unacknowledged.count) unacknowledged") }
        check()
        return problems
    }

    private var isDone: Bool {
        sender.unacknowledged.isEmpty && sender.left == 0 && servers.allSatisfy(\.isQuiet) && servers.allSatisfy(hasRead) && receivers.allSatisfy(hasAll)
    }

    private func hasRead(_ server: ModelServer) -> Bool {
        (0..<partitions).allSatisfy { server.core.partitions[Partition($0)]?.position == Int64(logs[$0].count) }
    }

    private func hasAll(_ receiver: ModelReceiver) -> Bool {
        receiver.connection?.toClient.isEmpty == true && receiver.got.count >= counted(for: receiver.user).count
    }

    private func step(faults: Bool) {
        switch pick(100) {
        case 0..<8: pass(Int64(pick(faults ? 400 : 200)))
        case 8..<20: sender.speak(self)
        case 20..<34: toServer()
        case 34..<52: toClients()
        case 52..<68: land()
        case 68..<84: report()
        case 84..<94: read()
        case 94..<96: landGhosts()
        case 96 where faults: breakStream()
        case 97 where faults: killProducer()
        case 98 where faults: servers[pick(2)].losesReports = true
        default: connect()
        }
        if !faults { for server in servers where !server.hasProducer { server.start(at: now) } }
    }

    func pass(_ milliseconds: Int64) {
        now.monotonic_ms += milliseconds
        now.wall_ms += milliseconds
        for server in servers {
            server.drain(self)
            server.core.advance(to: now)
            server.perform(self)
        }
        sender.pass(self)
    }

    private func connect() {
        if sender.connection == nil { sender.connect(self) }
        for receiver in receivers where receiver.connection == nil { receiver.connect(self) }
        for server in servers where !server.hasProducer && chance(50) { server.start(at: now) }
    }

    private func breakStream() {
        let everyone: [ModelClient] = [sender] + receivers
        everyone[pick(everyone.count)].drop(self)
    }

    private func toServer() {
        let everyone: [ModelClient] = [sender] + receivers
        for client in everyone { client.handOver(self) }
    }

    private func toClients() {
        let everyone: [ModelClient] = [sender] + receivers
        for client in everyone { client.take(self) }
    }

    // MARK: the log

    private func land() {
        let server = servers[pick(2)]
        guard !server.queue.isEmpty else { return }
        // Partitions of one producer go on independently, each in its order.
        let partition = server.queue[pick(server.queue.count)].partition
        let index = server.queue.firstIndex { $0.partition == partition }!
        let record = server.queue.remove(at: index)
        let offset = append(record)
        let isComplete = !server.losesReports
        server.losesReports = server.losesReports && chance(60)
        let entry = logs[Int(partition.number)][Int(offset)]
        server.reports.append((record.ticket, isComplete ? offset : nil, entry.time_ms))
    }

    private func append(_ record: ModelServer.Queued) -> Int64 {
        let number = Int(record.partition.number)
        let offset = Int64(logs[number].count)
        logs[number].append(LogEntry(offset: offset, time_ms: now.wall_ms, bytes: record.bytes))
        return offset
    }

    /// What a discarded producer had on its way arrives after all.
    private func landGhosts() {
        let server = servers[pick(2)]
        guard !server.ghosts.isEmpty else { return }
        let ghost = server.ghosts.removeFirst()
        let offset = append(ghost)
        if !rules.lossIsTold { server.reports.append((ghost.ticket, offset, now.wall_ms)) }
    }

    private func report() {
        let server = servers[pick(2)]
        guard !server.reports.isEmpty else { return }
        let (ticket, offset, time_ms) = server.reports.removeFirst()
        server.core.reported(ticket, .landed(offset: offset, time_ms: offset == nil ? nil : time_ms), at: now)
        server.perform(self)
    }

    private func killProducer() {
        let server = servers[pick(2)]
        server.lose(self)
    }

    private func read() {
        let server = servers[pick(2)]
        let number = pick(partitions)
        let partition = Partition(number)
        guard let log = server.core.partitions[partition], let position = log.position, position < logs[number].count else { return }
        let end = min(logs[number].count, Int(position) + 1 + pick(5))
        server.core.read(partition, reading: log.reading, Array(logs[number][Int(position)..<end]), caughtUp: nil, at: now)
        server.perform(self)
    }

    // MARK: the promises

    /// What counts in a user's partition for this user, by the once-rule, in order.
    func counted(for user: UInt64) -> [LoggedMessage] {
        let partition = UserID(user)!.partition(of: partitions)
        var once = OnceRule(idWindow: .seconds(600), log: Self.log)
        return logs[Int(partition.number)].compactMap { entry in
            guard case .message(let message)? = Record(bytes: entry.bytes) else { return nil }
            guard once.judge(message.id, from: message.sender, to: message.receiver, at: entry.time_ms) == .first else { return nil }
            return message.sender.value == user || message.receiver.value == user ? message : nil
        }
    }

    private func check() {
        for target in sender.targets {
            let sent = sender.sent.filter { $0.receiver == target }.map(\.id)
            check(counted(for: target).map(\.id), against: sent, "the receiver's partition of \(target)")
            check(counted(for: Self.sender).filter { $0.receiver.value == target }.map(\.id), against: sent, "the sender's copies to \(target)")
        }
        for receiver in receivers {
            let expected = counted(for: receiver.user).map(\.id)
            if receiver.got != expected {
                problems.append("user \(receiver.user) got \(receiver.got.count) of \(expected.count) in another way than the log has them")
            }
        }
        if !sender.nonsense.isEmpty { problems.append("the server ended a stream of a client that keeps the contract: \(sender.nonsense)") }
    }

    private func check(_ found: [MessageID], against sent: [MessageID], _ place: String) {
        if found.count != Set(found).count { problems.append("doubled in \(place)") }
        let missing = sent.filter { sender.acknowledged.contains($0) && !found.contains($0) }
        if !missing.isEmpty { problems.append("\(missing.count) acknowledged and lost in \(place)") }
        let order = found.compactMap { sent.firstIndex(of: $0) }
        if order != order.sorted() { problems.append("reordered in \(place): \(order)") }
    }
}
