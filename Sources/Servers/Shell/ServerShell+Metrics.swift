import Cell
import FoundationEssentials
import Glibc
import Web

extension ServerShell {
    /// What every kind of server shows under `/metrics`.
    func exposeMetrics() {
        metrics.gauge("cell_build_info", "Always 1; the label tells the build.", ["version": Build.version]).set(1)
        metrics.read("cell_ready", "1 while the server is ready.") { [weak self] in self?.stage.readiness == .ready ? 1 : 0 }
        metrics.read("cell_assignment_epoch", "The epoch that the server goes by.") { [weak self] in Double(self?.follower.known.assignment.epoch.value ?? 0) }
        metrics.read("process_resident_memory_bytes", "Memory of the process in RAM.") { Self.residentBytes }
        let started = Date().timeIntervalSince1970
        metrics.read("process_start_time_seconds", "When the process began, Unix seconds.") { started }
    }

    /// From /proc/self/statm, whose second number is pages in RAM.
    private static var residentBytes: Double {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
            let pages = text.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
        else { return 0 }
        return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
    }
}
