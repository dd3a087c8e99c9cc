import FoundationEssentials
import Support

/// Users who chat by Python's grpcio over contract/chat.proto, with a ledger (`chat/chat.py`): it shares no line with the cell.
struct IndependentChat {
    let process: ChildProcess
    private let report: String
    private let folder: TemporaryFolder

    /// - Parameters:
    ///   - least: they send until this many messages are acknowledged, also when what was to happen meanwhile (`finish`) happened sooner: a run of fewer
    ///     is not good.
    ///   - seconds: how long they send, at most.
    ///   - trusting: a file with who signed the cell's certificates; then they speak TLS and nothing else.
    ///   - secret: a file with what HS256 tokens are signed with.
    init(
        connect: String, users: Int, rate: Int, least: Int = 100, seconds: Int = 600, devices: Int = 1, settle: Int = 60, firstUser: Int = 1,
        trusting: String? = nil, secret: String? = nil
    ) throws {
        folder = try TemporaryFolder("chat")
        report = folder.file("report.json")
        process = try ChildProcess(
            python,
            [
                "\(CellUnderTest.repository)/Tests/Integration/chat/chat.py", "--connect", connect, "--users", "\(users)", "--rate", "\(rate)",
                "--seconds", "\(seconds)", "--devices", "\(devices)", "--settle", "\(settle)", "--first-user", "\(firstUser)", "--json", report,
                "--until", folder.file("until"), "--least", "\(least)",
            ] + (trusting.map { ["--ca", $0] } ?? []) + (secret.map { ["--secret", $0] } ?? []))
    }

    /// Waits until every device has its stream.
    func opened() async throws {
        try await eventually("every device's stream", within: .seconds(150)) {
            if let exit = process.exit { throw CellFault("the chat ended: \(exit) \(process.errors)") }
            return process.output.contains("opened")
        }
    }

    struct Report: Decodable {
        var good: Bool
        var sent: Int, acked: Int, unfinished: Int, lost: Int, doubled: Int, reordered: Int
        var faults: [String]
        var outage_ms: Outage
        var history: History?
        /// What happened to the streams → how often.
        var counters: [String: Int]

        struct Outage: Decodable { var count: Int, p50: Double?, p99: Double?, max: Double? }
        struct History: Decodable { var users: Int, rows: Int, different: Int }
    }

    /// Ends the sending once enough is acknowledged, waits for the end of the run, and reads what its ledger says.
    func finish(within limit: Duration = .seconds(180)) async throws -> Report {
        try folder.write("", to: "until")
        let exit = try await process.waitForExit(within: limit)
        let text = text(ofFile: report)
        guard !text.isEmpty else { throw CellFault("the chat ended with \(exit): \(process.errors) \(process.output)") }
        return try JSONDecoder().decode(Report.self, from: Data(text.utf8))
    }
}
