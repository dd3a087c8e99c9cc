import Cell
import Glibc

/// The servers' log files: each bounded in size, with some older ones, and those of the dead bounded in number.
///
/// The servers write by themselves (append mode) and outlive the operator, so a full file is copied and cut instead of being renamed.
struct ServerLogs: Sendable {
    let folder: String
    var limit_bytes = 16 << 20
    /// Older parts kept for each server: `NAME.log.1` is the latest.
    var parts = 3
    /// Servers that are gone and whose logs stay.
    var dead = 32

    func path(of server: ServerID) -> String { "\(folder)/\(server).log" }

    /// The last line that says something, for people.
    func lastWords(of server: ServerID) -> String {
        let lines = Files.tail(path(of: server), limit: 2_048).split(whereSeparator: \.isNewline)
        return String((lines.last { !$0.allSatisfy(\.isWhitespace) } ?? "").prefix(300))
    }

    /// Cuts files that are too long, and removes those of servers that are long gone.
    func tidy(living: Set<ServerID>) {
        let names = (try? Files.names(in: folder)) ?? []
        let servers = names.filter { $0.hasSuffix(".log") }.compactMap { ServerID(String($0.dropLast(4))) }
        for server in servers where Files.size(path(of: server)) > limit_bytes { rotate(path(of: server)) }
        for kind in ServerKind.allCases {
            let gone = servers.filter { $0.kind == kind && !living.contains($0) }.sorted { $0.number < $1.number }
            for server in gone.dropLast(dead) { remove(server, names) }
        }
    }

    private func rotate(_ path: String) {
        for part in stride(from: parts - 1, through: 1, by: -1) { Glibc.rename("\(path).\(part)", "\(path).\(part + 1)") }
        guard let bytes = try? Files.read(path), (try? Files.replace("\(path).1", with: bytes, durable: false)) != nil else { return }
        // What was written between reading and cutting is lost: a line or two of a log, and no server has to be asked.
        truncate(path, 0)
    }

    private func remove(_ server: ServerID, _ names: [String]) {
        let prefix = "\(server).log"
        for name in names where name == prefix || name.hasPrefix(prefix + ".") { Files.remove("\(folder)/\(name)") }
    }
}
