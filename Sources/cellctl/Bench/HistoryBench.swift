import Blackboard
import Cell
import ChatClient
import History
import Streams

/// Pages of a history of many rows, which are made first, straight through the store, for users whom nobody else is.
struct HistoryBench: Sendable {
    /// Half of the rows are one dialog; the others are spread over this many, so that dense and sparse ones are asked alike.
    static let dialogs = 1_000
    private static let firstUser: UInt64 = 18_000_000_000_000_000_000
    private static let chunk = 100

    let spec: CellSpec
    let log: LogID
    let terminal: Terminal

    private static func user(_ number: Int) -> UserID {
        guard let user = UserID(firstUser + UInt64(number)) else { preconditionFailure("a user of the bench is 0") }
        return user
    }

    /// The two users of a dialog: 0 is the dense one.
    private static func pair(_ dialog: Int) -> (owner: UserID, peer: UserID) { (user(2 * dialog), user(2 * dialog + 1)) }

    // MARK: rows

    /// Makes `count` rows; those that an earlier run made are written over with equals.
    func make(_ count: Int) async throws -> Duration {
        let store = try await spec.openHistoryStore()
        defer { store.close() }
        let began = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, first) in stride(from: 0, to: count, by: Self.chunk).enumerated() {
                if number >= 64 { try await group.next() }
                if number % 256 == 0 { terminal.progress("\(first) of \(count) rows") }
                let batches = batches(first..<min(count, first + Self.chunk))
                group.addTask { for batch in batches { try await Self.write(batch, to: store) } }
            }
            try await group.waitForAll()
        }
        terminal.endProgress()
        return ContinuousClock.now - began
    }

    /// A store that is busy is asked again.
    private static func write(_ batch: HistoryBatch, to store: any HistoryStore) async throws {
        for attempt in 1... {
            do { return try await store.write(batch) } catch  where attempt < 20 { try await Task.sleep(for: .milliseconds(50 * attempt)) }
        }
    }

    /// One record is an entry of both its users.
    private func batches(_ records: Range<Int>) -> [HistoryBatch] {
        var batches: [Partition: HistoryBatch] = [:]
        for record in records {
            let pair = Self.pair(record % 2 == 0 ? 0 : 1 + record / 2 % Self.dialogs)
            let row = row(record, pair)
            for owner in [pair.owner, pair.peer] {
                let partition = owner.partition(of: spec.partitions)
                batches[partition, default: HistoryBatch(log: log, partition: partition)].entries.append(HistoryEntry(owner: owner, row: row))
            }
        }
        return batches.values.sorted { $0.partition < $1.partition }
    }

    private func row(_ record: Int, _ pair: (owner: UserID, peer: UserID)) -> HistoryRow {
        let time_ms = log.time_ms + Int64(record)
        var random = SplitMix64(UInt64(record))
        let isFromOwner = record % 4 < 2
        return HistoryRow(
            offset: Int64(record), id: MessageID(time_ms: time_ms, using: &random), sender: isFromOwner ? pair.owner : pair.peer,
            receiver: isFromOwner ? pair.peer : pair.owner, time_ms: time_ms, body: [UInt8](repeating: 120, count: 40))
    }

    // MARK: pages

    /// What was asked, and how it went.
    struct Result: Sendable {
        var inbox = Latencies(), dense = Latencies(), sparse = Latencies()
        var failures = 0, rows = 0
        var why = ""
    }

    /// Asks for pages of 50 from `clients` places at once, each as soon as its last one came.
    func ask(_ address: String, _ security: Security, rows: Int, clients: Int, for time: Duration) async throws -> Result {
        let loop = try EventLoop(name: "bench")
        loop.start()
        defer { loop.stop() }
        let end = ContinuousClock.now + time
        return await withTaskGroup(of: Result.self) { group in
            for number in 0..<clients { group.addTask { await ask(address, security, on: loop, rows: rows, seed: UInt64(number), until: end) } }
            return await group.reduce(into: Result()) { total, part in
                total.inbox.add(part.inbox)
                total.dense.add(part.dense)
                total.sparse.add(part.sparse)
                total.failures += part.failures
                total.rows += part.rows
                if total.why.isEmpty { total.why = part.why }
            }
        }
    }

    private func ask(
        _ address: String, _ security: Security, on loop: EventLoop, rows: Int, seed: UInt64, until end: ContinuousClock.Instant
    ) async -> Result {
        // Made here, used on the loop alone.
        nonisolated(unsafe) let client = HistoryClient(address, security, on: loop)
        var (result, random) = (Result(), SplitMix64(seed))
        var number = 0
        while ContinuousClock.now < end {
            number += 1
            let dialog = number % 3 == 2 ? 1 + Int.random(in: 0..<Self.dialogs, using: &random) : 0
            let (owner, peer) = Self.pair(number % 3 == 0 ? Int.random(in: 0...Self.dialogs, using: &random) : dialog)
            let to = Int64.random(in: 1...Int64(max(1, rows)), using: &random)
            let began = ContinuousClock.now
            let page = await page(client, on: loop, of: owner, with: number % 3 == 0 ? nil : peer, to: to)
            let took = ContinuousClock.now - began
            switch page {
            case .failure(let failure):
                result.failures += 1
                result.why = failure.description
            case .success(let page):
                result.rows += page.messages.count
                switch number % 3 {
                case 0: result.inbox.add(took)
                case 1: result.dense.add(took)
                default: result.sparse.add(took)
                }
            }
        }
        await withCheckedContinuation { done in
            loop.execute {
                client.close()
                done.resume()
            }
        }
        return result
    }

    private func page(
        _ client: HistoryClient, on loop: EventLoop, of owner: UserID, with peer: UserID?, to: Int64
    ) async -> Swift.Result<Page, GRPCStatus.Failure> {
        nonisolated(unsafe) let client = client
        return await withCheckedContinuation { done in
            loop.execute { [log] in
                if let peer {
                    var query = DialogQuery()
                    (query.peer, query.log, query.to, query.limit) = (peer.value, log.description, to, 50)
                    client.dialog(query, as: .user(owner)) { done.resume(returning: $0) }
                } else {
                    var query = InboxQuery()
                    (query.log, query.to, query.limit) = (log.description, to, 50)
                    client.inbox(query, as: .user(owner)) { done.resume(returning: $0) }
                }
            }
        }
    }
}

extension CellBench {
    /// Latency of history pages of 50.
    func history(rows: Int, clients: Int, for time: Duration) async throws -> BenchReport {
        guard let stored = try await board.spec(), let log = try await board.assignment()?.log, let server = try await servers(.history).first else {
            throw Failure(.failed, "cell \(board.cell) has no ready history server", remedy: "See what it waits for: cellctl status")
        }
        let spec = try CellSpec.read(json: stored.json, source: "the spec in Redis")
        guard spec.auth == .none else {
            throw Failure(.failed, "cell \(board.cell) asks for tokens, and the bench has none", remedy: "Use a cell with auth: {none: {}}")
        }
        let bench = HistoryBench(spec: spec, log: log, terminal: terminal)
        let made = try await bench.make(rows)
        let result = try await bench.ask(
            server.address, Security(isOn: spec.messaging.tls != nil, trusts: tls), rows: rows, clients: clients, for: time)
        var report = BenchReport("history")
        report.add("rows made", rows)
        report.add("made within", made)
        let pages = result.inbox.count + result.dense.count + result.sparse.count
        report.add("pages", pages)
        report.add("pages a second", Double(pages) * 1_000 / Double(time.milliseconds), "1/s")
        report.add("rows a page", pages == 0 ? 0 : Double(result.rows) / Double(pages))
        for (name, times) in [("inbox", result.inbox), ("dialog with half of the rows", result.dense), ("sparse dialog", result.sparse)] {
            for (label, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] { report.add("\(name), \(label)", times.percentile(share)) }
        }
        report.add("failures", result.failures)
        if result.failures > 0 { terminal.complain("pages failed: \(result.why)") }
        return report
    }
}
