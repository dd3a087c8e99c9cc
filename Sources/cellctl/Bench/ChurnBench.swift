import Cell
import ChatClient
import Processes

/// Memory of a cell's servers as time goes by, and how it grew once it had settled.
struct MemoryCourse: Sendable {
    struct Sample: Sendable {
        var at: Duration
        /// In the order of the columns.
        var own_KiB: [Int]
    }

    private(set) var samples: [Sample] = []

    mutating func add(_ sample: Sample) { samples.append(sample) }

    /// What one column grew from its first sample at or after `start` to its last, and what that would be in an hour by the line of least squares through
    /// all of them; nil with fewer than three.
    func growth(of column: Int, after start: Duration) -> (first_KiB: Int, last_KiB: Int, perHour_KiB: Double)? {
        let settled = samples.filter { $0.at >= start }
        guard settled.count >= 3, let first = settled.first, let last = settled.last else { return nil }
        let points = settled.map { (hours: Double($0.at.milliseconds) / 3_600_000, KiB: Double($0.own_KiB[column])) }
        let hours = points.reduce(0) { $0 + $1.hours } / Double(points.count)
        let mean = points.reduce(0) { $0 + $1.KiB } / Double(points.count)
        let spread = points.reduce(0) { $0 + ($1.hours - hours) * ($1.hours - hours) }
        let slope = points.reduce(0) { $0 + ($1.hours - hours) * ($1.KiB - mean) } / spread
        return (first.own_KiB[column], last.own_KiB[column], slope)
    }
}

extension CellBench {
    /// Visitors connect, send and leave for `time`; the memory of each kind of server, row by row.
    func churn(_ size: Churn.Size, for time: Duration) async throws -> BenchReport {
        let kinds = [ServerKind.messaging, .connect, .history, .materialize]
        var columns: [(kind: ServerKind, pids: [Int32])] = []
        for kind in kinds { columns.append((kind, try await servers(kind).compactMap(\.pid).sorted())) }
        columns.removeAll { $0.pids.isEmpty }
        guard !columns.isEmpty else { throw Failure(.failed, "the cell's servers are no processes of this machine", remedy: "Run this where they run") }

        let churn = try Churn(size, seed: UInt64.random(in: .min ... .max), connect: connect, tls: tls)
        let widths = [8, 12] + columns.map { max(10, $0.kind.rawValue.count) }
        terminal.complain(Table(columns: ["TIME", "VISITS"] + columns.map { $0.kind.rawValue.uppercased() }, rows: []).lines(widths: widths)[0])
        let (began, interval) = (ContinuousClock.now, max(.seconds(1), time / 60))
        var course = MemoryCourse()
        churn.start()
        for number in 1... {
            let at = min(interval * number, time)
            try await Task.sleep(until: began + at)
            let sample = MemoryCourse.Sample(at: at, own_KiB: try columns.map { try $0.pids.reduce(0) { try $0 + ProcessUse(of: $1).own_KiB } })
            course.add(sample)
            let row = [Quantity.text(.seconds(at.components.seconds)), "\(await churn.soFar().visits)"] + sample.own_KiB.map { "\($0) KiB" }
            terminal.complain(Table(columns: [], rows: [row]).lines(header: false, widths: widths)[0])
            if at >= time { break }
        }
        let tally = await churn.soFar()
        await churn.stop()
        for column in columns {
            guard try await servers(column.kind).compactMap(\.pid).sorted() == column.pids else {
                throw Failure(
                    .failed, "a \(column.kind.rawValue) server was started again meanwhile", remedy: "See why, and run this again: cellctl get events")
            }
        }
        return report(tally, course, columns.map(\.kind), for: time)
    }

    private func report(_ tally: Churn.Tally, _ course: MemoryCourse, _ kinds: [ServerKind], for time: Duration) -> BenchReport {
        var report = BenchReport("churn")
        report.add("time", Double(time.milliseconds) / 60_000, "min")
        report.add("visits", tally.visits)
        report.add("visits that failed", tally.failures)
        report.add("visits that found no place", tally.late)
        for (label, share) in [("p50", 0.5), ("p99", 0.99)] { report.add("coming to acknowledged, \(label)", tally.times.percentile(share)) }
        // A run that is shorter than five minutes settles for a third of its time.
        let settling = min(.seconds(300), time / 3)
        let after = Quantity.text(.milliseconds(settling.milliseconds))
        for (column, kind) in kinds.enumerated() {
            guard let growth = course.growth(of: column, after: settling) else { continue }
            report.add("\(kind.rawValue), own memory after \(after)", growth.first_KiB, "KiB")
            report.add("\(kind.rawValue), own memory at the end", growth.last_KiB, "KiB")
            report.add("\(kind.rawValue), growth since", growth.last_KiB - growth.first_KiB, "KiB")
            report.add("\(kind.rawValue), growth by all samples since", growth.perHour_KiB, "KiB/h")
        }
        return report
    }
}
