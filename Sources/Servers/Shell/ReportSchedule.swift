import Cell

/// Which report goes with the next renewal: none while nothing changes, but one a second at least. Pure.
struct ReportSchedule {
    struct Sending: Equatable {
        /// Nil: what Redis has is still true.
        var report: Report?
        /// The operator waits for this change.
        var urgent: Bool
    }

    private static let interval = Duration.seconds(1)
    private var sent: Report?
    private var sentAt: ContinuousClock.Instant?

    /// - Parameter concerned: the last epoch that changed what this server itself is to do: moves wait until it is applied.
    func next(_ report: Report, concerned: Epoch, now: ContinuousClock.Instant) -> Sending {
        guard let sent, let sentAt else { return Sending(report: report, urgent: true) }
        let isDue = report != sent || sentAt.duration(to: now) >= Self.interval
        let hasApplied = sent.epoch < concerned && concerned <= report.epoch
        return Sending(report: isDue ? report : nil, urgent: hasApplied || Self.differsUrgently(report, sent))
    }

    /// Redis has it.
    mutating func wasSent(_ sending: Sending, now: ContinuousClock.Instant) {
        guard let report = sending.report else { return }
        sent = report
        sentAt = now
    }

    /// What moves, promotions and people wait for; loads and positions can wait for the next look.
    private static func differsUrgently(_ a: Report, _ b: Report) -> Bool {
        a.state != b.state || a.address != b.address || a.http != b.http || a.warm != b.warm || a.left != b.left || a.log != b.log
    }
}
