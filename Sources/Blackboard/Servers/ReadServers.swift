import Cell
import Redis

/// What Redis knows of a cell's servers at one moment.
public struct ServersInRedis: Sendable, Equatable {
    public struct Lease: Sendable, Equatable {
        public let server: ServerID
        public let incarnation: Incarnation
        /// Unix milliseconds by Redis's clock.
        public let expiry_ms: Int64

        package init(server: ServerID, incarnation: Incarnation, expiry_ms: Int64) {
            self.server = server
            self.incarnation = incarnation
            self.expiry_ms = expiry_ms
        }
    }

    /// Redis's clock at the moment of reading, Unix milliseconds.
    public let time_ms: Int64
    /// Also those that ran out; by server.
    public let leases: [Lease]
    public let reports: [ServerID: Report]
    /// As they stand in Redis, those that are reports.
    let texts: [ServerID: String]
    /// What is none of ours: field or lease → why.
    public let malformed: [String: String]

    package init(time_ms: Int64, leases: [Lease], reports: [ServerID: Report], texts: [ServerID: String] = [:], malformed: [String: String] = [:]) {
        self.time_ms = time_ms
        self.leases = leases
        self.reports = reports
        self.texts = texts
        self.malformed = malformed
    }

    public func isLive(_ lease: Lease) -> Bool { lease.expiry_ms > time_ms }
}

extension CellBlackboard {
    /// Leases and reports, read at one moment. Malformed ones are skipped and named.
    ///
    /// - Parameter before: what was read earlier: a report that stands there as it did is not taken apart again.
    public func servers(after before: ServersInRedis? = nil) async throws -> ServersInRedis {
        let verdict = try await run(Self.readServers, keys: [keys.leases, keys.reports], arguments: [])
        guard verdict.values.count == 3, let leases = verdict.values[1].pairs, let reports = verdict.values[2].pairs else {
            throw malformed("the servers' leases and reports", "\(verdict.values.count) parts", "a time, leases and reports")
        }
        var (good, bad) = Self.leases(leases)
        var read: [ServerID: Report] = [:]
        var texts: [ServerID: String] = [:]
        for (field, value) in reports {
            guard let server = ServerID(field) else {
                bad[field] = "is no server's name"
                continue
            }
            let text = value.string ?? ""
            let known = before?.texts[server] == text ? before?.reports[server] : nil
            guard let report = known ?? JSONText.decode(Report.self, from: text) else {
                bad[field] = "has a report that is none: \(text.prefix(80))"
                continue
            }
            read[server] = report
            texts[server] = text
        }
        return ServersInRedis(time_ms: verdict.number(0), leases: good, reports: read, texts: texts, malformed: bad)
    }

    /// The leases as they are now, beside the reports as they were `before`.
    public func leases(beside before: ServersInRedis) async throws -> ServersInRedis {
        let verdict = try await run(Self.readLeases, keys: [keys.leases], arguments: [])
        guard verdict.values.count == 2, let leases = verdict.values[1].pairs else {
            throw malformed("the servers' leases", "\(verdict.values.count) parts", "a time and leases")
        }
        let (good, bad) = Self.leases(leases)
        return ServersInRedis(time_ms: verdict.number(0), leases: good, reports: before.reports, texts: before.texts, malformed: bad)
    }

    /// By server and incarnation, and those that are none.
    private static func leases(_ pairs: [(key: String, value: RedisValue)]) -> (good: [ServersInRedis.Lease], bad: [String: String]) {
        var bad: [String: String] = [:]
        var good: [ServersInRedis.Lease] = []
        for (name, expiry) in pairs {
            if let lease = lease(name, expiry.string ?? "") { good.append(lease) } else { bad[name] = "is no lease of SERVER/INCARNATION" }
        }
        return (good.sorted { ($0.server, $0.incarnation) < ($1.server, $1.incarnation) }, bad)
    }

    private static func lease(_ name: String, _ expiry: String) -> ServersInRedis.Lease? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let server = ServerID(String(parts[0])), let incarnation = Incarnation(String(parts[1])),
            let expiry_ms = Double(expiry).flatMap({ Int64(exactly: $0.rounded()) })
        else { return nil }
        return ServersInRedis.Lease(server: server, incarnation: incarnation, expiry_ms: expiry_ms)
    }

    private static let readServers = RedisScript(
        """
        local time = redis.call('TIME')
        local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
        return {'ok', now, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), redis.call('HGETALL', KEYS[2])}
        """)

    private static let readLeases = RedisScript(
        """
        local time = redis.call('TIME')
        local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
        return {'ok', now, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}
        """)
}
