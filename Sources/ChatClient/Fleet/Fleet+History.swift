import Cell
import Streams

/// What the history holds beside what was delivered.
public struct HistoryComparison: Sendable, Equatable {
    public var users = 0, rows = 0
    /// Users whose history differs from what their first device got.
    public var different = 0
    public var examples: [String] = []
}

extension Fleet {
    /// Stops sending, closes what gaps there are from the history, and waits until every acknowledged message has arrived.
    ///
    /// - Parameter history: HOST:PORT of a history server.
    /// - Returns: what the ledger says then, or at the limit.
    public func settle(history address: String, within limit: Duration) async throws -> Ledger.Verdict {
        await stopSending()
        await onLoop { fleet in
            if fleet.history == nil { fleet.history = HistoryClient(address, fleet.devices.first?.security ?? Security(trusts: fleet.tls), on: fleet.loop) }
        }
        let deadline = now + limit
        while true {
            let (verdict, open) = await onLoop { fleet in (fleet.ledger.verdict(), fleet.unfinished()) }
            if (verdict.isClean && open == 0) || now > deadline { return verdict }
            await onLoop { $0.fillGaps() }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Messages that are neither acknowledged nor refused, and gaps that are not closed.
    private func unfinished() -> Int {
        devices.reduce(0) { $0 + $1.machine.state.unacknowledged.count + $1.machine.state.gaps.count }
    }

    private func fillGaps() {
        for (index, device) in devices.enumerated() {
            for gap in device.machine.state.gaps where filling.insert(Filling(device: index, gap: gap)).inserted {
                fill(gap, of: device, index)
            }
        }
    }

    private func fill(_ gap: HistoryGap, of device: Device, _ index: Int) {
        history?.read(gap.log, from: gap.from, to: gap.to, as: device.credentials) { [weak self] result in
            guard let self else { return }
            self.filling.remove(Filling(device: index, gap: gap))
            guard case .success(let range) = result else { return }
            // What is not complete yet is read again from where it ends.
            for message in range.messages where message.offset < range.through { self.ledger.delivered(message, log: gap.log, on: index) }
            device.filled(gap, through: range.through)
        }
    }

    /// Compares every user's inbox with what the user's first device got.
    public func compareHistory(within limit: Duration) async throws -> HistoryComparison {
        var comparison = HistoryComparison()
        let deadline = now + limit
        for index in stride(from: 0, to: devices.count, by: size.devices) {
            comparison.users += 1
            while true {
                let (rows, isEqual) = await compare(index)
                if isEqual || now > deadline {
                    comparison.rows += rows
                    if !isEqual { comparison.different += 1 }
                    break
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        return comparison
    }

    private func compare(_ index: Int) async -> (rows: Int, isEqual: Bool) {
        await withCheckedContinuation { continuation in
            loop.execute { self.compareOnLoop(index) { continuation.resume(returning: ($0, $1)) } }
        }
    }

    private func compareOnLoop(_ index: Int, _ done: @escaping @Sendable (Int, Bool) -> Void) {
        let wanted = ledger.got(on: index)
        guard let log = devices[index].machine.state.log, let history else { return done(0, wanted.isEmpty) }
        let inThisLog = wanted.filter { $0.log == log }
        guard let first = inThisLog.map(\.offset).min() else { return done(0, true) }
        history.read(log, from: first, to: nil, as: devices[index].credentials) { result in
            guard case .success(let range) = result else { return done(0, false) }
            let rows = Set(range.messages.map { Ledger.Place(log: log, offset: $0.offset, id: $0.id) })
            done(rows.count, rows == Set(inThisLog))
        }
    }
}
