import Blackboard
import Cell
import FoundationEssentials
import Redis
import Support

/// The built cellctl with a Redis of its own.
struct Bench {
    let redis: RedisProcess
    let folder: TemporaryFolder

    init() async throws {
        redis = try await RedisProcess()
        folder = try TemporaryFolder("cellctl")
    }

    /// Where the executables are built: `CELL_BINARIES`, else beside the tests.
    static var cellctl: String {
        if let folder = environment("CELL_BINARIES") { return "\(folder)/cellctl" }
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return executable.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/cellctl"
    }

    func run(_ arguments: String..., environment: [String: String] = [:], input: String = "") async throws -> ChildProcess.Outcome {
        try await start(arguments, environment: environment, input: input)
    }

    func run(_ words: [String], _ more: String...) async throws -> ChildProcess.Outcome { try await start(words + more, environment: [:], input: "") }

    private func start(_ arguments: [String], environment: [String: String], input: String) async throws -> ChildProcess.Outcome {
        let variables = ["CELL_REDIS": "127.0.0.1:\(redis.port)", "HOME": folder.path].merging(environment) { $1 }
        return try await ChildProcess.run(Self.cellctl, arguments, environment: variables, input: input, in: folder.path)
    }

    func board(_ name: String = "case") throws -> CellBlackboard { CellBlackboard(CellName(name)!, on: try redis.client()) }

    static let cell = """
        apiVersion: cecochat.io/v1alpha1
        kind: Cell
        metadata: {name: case}
        spec:
          partitions: 12
          messaging: {servers: 3, standbys: 1}
          backplane: {embedded: {}}
          store: {sqlite: {}}
          auth: {none: {}}
          run: {process: {}}

        """
}

extension ChildProcess.Outcome {
    var lines: [String] { output.split(separator: "\n").map(String.init) }
    var errorLines: [String] { errors.split(separator: "\n").map(String.init) }
}

extension String {
    func with(_ old: String, _ new: String) -> String {
        precondition(contains(old), "no \(old) here")
        return split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }
}
