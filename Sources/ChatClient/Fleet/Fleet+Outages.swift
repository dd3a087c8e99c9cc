import Cell

/// How long devices were without a stream after something happened to their server.
public struct Outages: Sendable {
    /// Devices that were on the server when it happened.
    public var affected = 0
    /// Those of them that have a stream again.
    public var returned = 0
    /// From what happened to the next Opened, one for each that returned.
    public var times = Latencies()
    public var isOver: Bool { affected == returned }
}

extension Fleet {
    /// The devices whose stream is on the server at `address` now.
    public func devices(on address: String) async -> [Int] {
        await onLoop { fleet in fleet.devices.indices.filter { fleet.devices[$0].machine.current?.address == address } }
    }

    /// What became of `affected` devices since `time`.
    public func outages(of affected: [Int], since time: Duration) async -> Outages {
        await onLoop { fleet in
            var outages = Outages()
            outages.affected = affected.count
            for index in affected {
                guard let next = fleet.openings[index].first(where: { $0.at > time }) else { continue }
                outages.returned += 1
                outages.times.add(next.at - time)
            }
            return outages
        }
    }

    /// Waits until every affected device is served again.
    public func recovery(of affected: [Int], since time: Duration, within limit: Duration = .seconds(30)) async throws -> Outages {
        while true {
            let outages = await outages(of: affected, since: time)
            if outages.isOver || now - time > limit { return outages }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
