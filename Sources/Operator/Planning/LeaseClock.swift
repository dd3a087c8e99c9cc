import Cell

/// What leases say, together with their second sign.
///
///     renewed ├────────────┬────────────┤ ends
///                          half: a health probe begins
///                                       out: dead when that probe failed, cut off when it was answered
///
/// No lease counts while Redis is away and until one lease after it came back, after this operator woke up from a pause, or after it began to lead: whoever
/// lives has renewed its lease by then. What a probe said before that does not count at all.
///
/// A port that refuses connections right after one broke needs no lease: that is a death at once, until the server renews its lease after all.
///
/// Its functions take the end of a server's lease, since it is looked up only once for each server.
struct LeaseClock: Sendable {
    enum Witness: Equatable, Sendable { case alive, silent, cutOff, dead, shut }

    /// Bare, since `Duration` divides 128 bits.
    private let lease_ms: Int64
    private let now: Moment
    private let read: Moment
    private let probes: [ServerLife: HealthProbe]
    private let shut: [ServerLife: Moment]
    /// From when on leases count; nil while they do not and nobody knows until when.
    private let countsFrom: Moment?
    /// Older probes say nothing.
    private let probesFrom: Moment
    private let rules: Rules

    init(_ observed: ObservedCell, lease: Duration, now: Moment, rules: Rules = .all) {
        self.rules = rules
        lease_ms = lease.milliseconds
        self.now = now
        read = observed.leasesRead
        probes = observed.probes
        shut = observed.shut
        let settles = rules.holds(.leasesSettle)
        countsFrom = observed.redisBack.map { settles ? max($0, observed.seenSince) + lease : $0 }
        probesFrom = settles ? max(observed.seenSince, now - lease * 2) : now - lease * 2
    }

    func witness(_ life: ServerLife, leaseEnd: Moment?) -> Witness {
        if isShut(life, leaseEnd) { return .shut }
        guard counts, isOut(leaseEnd) else { return .alive }
        guard rules.holds(.secondSign) else { return .dead }
        switch probe(life, leaseEnd)?.result {
        case .answered: return .cutOff
        case .failed: return .dead
        case .pending, nil: return .silent
        }
    }

    /// Its port was found shut, and its lease was renewed before that for the last time: whoever renews it later lives, whatever refused.
    private func isShut(_ life: ServerLife, _ leaseEnd: Moment?) -> Bool {
        guard !shut.isEmpty, let found = shut[life] else { return false }
        guard rules.holds(.renewedLives), let leaseEnd else { return true }
        return leaseEnd.milliseconds - lease_ms <= found.milliseconds
    }

    /// The lease had run out when it was last read, or there was none; whether or not that counts by now.
    func isOut(_ leaseEnd: Moment?) -> Bool { leaseEnd.map { $0 <= read } ?? true }

    /// Half the lease is over, and no probe since then is fresh.
    func needsProbe(_ life: ServerLife, leaseEnd: Moment?) -> Bool {
        guard counts, rules.holds(.probes), now >= suspectFrom(leaseEnd) else { return false }
        return probe(life, leaseEnd) == nil
    }

    /// When the lease has to be looked at next.
    func lookAgain(_ life: ServerLife, leaseEnd: Moment?) -> Moment? {
        guard counts else { return countsFrom }
        let half = suspectFrom(leaseEnd)
        if half > now { return half }
        if let leaseEnd, leaseEnd > read { return leaseEnd }
        return probe(life, leaseEnd).map { Moment(milliseconds: $0.began.milliseconds + lease_ms * 2) }
    }

    private var counts: Bool { countsFrom.map { read >= $0 } ?? false }

    private func suspectFrom(_ leaseEnd: Moment?) -> Moment {
        guard let leaseEnd else { return countsFrom ?? now }
        return Moment(milliseconds: leaseEnd.milliseconds - lease_ms / 2)
    }

    /// The last probe, unless it began before the doubt, or too long ago to say anything about now.
    private func probe(_ life: ServerLife, _ leaseEnd: Moment?) -> HealthProbe? {
        guard let probe = probes[life], probe.began >= max(suspectFrom(leaseEnd), probesFrom) else { return nil }
        return probe
    }
}
