import Blackboard
import Cell
import Redis

extension ServerShell {
    /// However often a core rings, Redis is asked no more often than this.
    private static let shortestPause = Duration.milliseconds(10)

    /// Renews the lease at every heartbeat and whenever somebody rings, until the server leaves.
    func heartbeat() async {
        var schedule = ReportSchedule()
        var arrived_ms: Int64?
        let renewals = metrics.counter("cell_lease_renewals_total", "Renewals of the lease that Redis answered.")
        let failures = metrics.counter("cell_lease_failures_total", "Renewals of the lease that failed.")
        let took = metrics.histogram("cell_lease_renewal_seconds", "How long a renewal took.")
        while !Task.isCancelled, !with({ $0.hasLeft }) {
            let began = ContinuousClock.now
            do {
                let arrival = if let arrived_ms { arrived_ms } else { try await board.time() }
                arrived_ms = arrival
                try await renew(&schedule, arrived_ms: arrival)
                renewals.add()
                took.observe(.now - began)
            } catch {
                failures.add()
                await take(error)
            }
            await heartbeatBell.wait(until: began + .milliseconds(follower.known.settings?.heartbeat_ms ?? 500))
            let early = Self.shortestPause - (.now - began)
            if early > .zero { await thread.sleep(for: early) }
        }
    }

    private func renew(_ schedule: inout ReportSchedule, arrived_ms: Int64) async throws {
        with { $0.askedSince = .now }
        let report = await report()
        with { $0.askedSince = nil }
        let sending = schedule.next(report, concerned: with { $0.concerned }, now: .now)
        let renewal = try await board.renewLease(
            of: arguments.server, arguments.incarnation, arrived_ms: arrived_ms, lease: .milliseconds(follower.known.settings?.lease_ms ?? 1_500),
            report: sending.report, urgent: sending.urgent)
        schedule.wasSent(sending, now: .now)
        redisAnswered()
        follower.hear(renewal)
    }

    private func take(_ error: any Error) async {
        guard let error = error as? BlackboardError else { return log.error("cannot renew its lease: \(error)") }
        if let redis = error.redis { return tellRedis(redis) }
        guard case .superseded(let later) = error.code else { return log.error("cannot renew its lease: \(error)") }
        guard
            with({ state in
                defer { state.superseded = later }
                return state.superseded == nil
            })
        else { return }
        log.error("\(error)")
        askToStop()
    }
}
