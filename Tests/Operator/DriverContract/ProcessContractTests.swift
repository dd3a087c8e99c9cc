import Cell
import Glibc
import Processes
import Redis
import Support
import Testing

@testable import Operator

/// Processes of this machine.
struct ProcessSubstrate: Substrate {
    let folder: TemporaryFolder
    let program: TrialProgram
    let seesExitsWithin = Duration.milliseconds(100)

    init() async throws {
        folder = try TemporaryFolder("contract")
        program = try await TrialProgram(in: folder)
    }

    func driver(for cell: CellName, _ does: TrialServer) throws -> any Driver {
        var spec = RunSpec.Process()
        spec.executable = program.path
        spec.environment = ["TRIAL": does.rawValue]
        spec.directory = folder.file("run")
        return try ProcessDriver(cell, spec, redis: RedisAddress(host: "127.0.0.1", port: 6379), clock: OperatorClock())
    }

    func process(_ server: RunningServer) throws -> pid_t { try #require(server.pid) }

    func running(_ cell: CellName) throws -> Int {
        try Files.names(in: "/proc").compactMap { pid_t($0) }.count { pid in
            let line = ProcessIdentity.commandLine(of: pid)
            return line.first == program.path && line.contains("\(cell)")
        }
    }

    func cut() -> Bool { false }
    func mend() {}
}

extension OperatorTests {
    @Suite("The process driver keeps the drivers' contract")
    struct ProcessContractTests {
        @Test(arguments: DriverContract.Clause.allCases)
        func keeps(_ clause: DriverContract.Clause) async throws {
            try await DriverContract(try await ProcessSubstrate()).check(clause)
        }
    }
}
