import FoundationEssentials
import Glibc

/// The machine that a figure comes from.
struct Machine: Codable, Sendable {
    var processor: String
    var cores: Int
    var memory_GiB: Int
    var kernel: String

    static var this: Machine {
        var system = utsname()
        uname(&system)
        let release = withUnsafeBytes(of: system.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return Machine(
            processor: field("model name", of: "/proc/cpuinfo") ?? "unknown", cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
            memory_GiB: (field("MemTotal", of: "/proc/meminfo").flatMap { Int($0.split(separator: " ")[0]) } ?? 0) >> 20, kernel: release)
    }

    var text: String { "\(processor), \(cores) cores, \(memory_GiB) GiB, Linux \(kernel)" }

    /// The value of the first `name: value` line of a file below /proc; nil where there is none: a machine need not tell, and its figures count all the same.
    private static func field(_ name: String, of path: String) -> String? {
        let text: String
        do { text = try read(path) } catch { return nil }
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].trimmed == name { return parts[1].trimmed }
        }
        return nil
    }

    /// A file below /proc has no size; it is read until it ends.
    static func read(_ path: String) throws(Failure) -> String {
        func failure(_ problem: String) -> Failure {
            Failure(.failed, "\(path) \(problem): \(String(cString: strerror(errno)))", remedy: "See whether its process still runs, and run this again")
        }
        guard let file = fopen(path, "r") else { throw failure("cannot be read") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        guard ferror(file) == 0, !bytes.isEmpty else { throw failure("cannot be read to its end") }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }
}

/// What another process of this machine uses.
struct ProcessUse: Sendable {
    /// Memory of its own that it wrote to (`Private_Dirty` of smaps_rollup). Pages of programs and libraries that nobody else maps at the moment are
    /// not in it: they come and go with what else runs, by more than ten thousand idle streams need.
    var own_KiB = 0
    var cpu: Duration = .zero

    /// - Throws: when the process is gone, or may not be looked at: nothing is no measure.
    init(of pid: Int32) throws(Failure) {
        for line in try Machine.read("/proc/\(pid)/smaps_rollup").split(separator: "\n") where line.hasPrefix("Private_Dirty:") {
            own_KiB += Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0
        }
        let stat = try Machine.read("/proc/\(pid)/stat")
        guard let end = stat.lastIndex(of: ")") else { return }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else { return }
        cpu = .milliseconds((user + system) * 1_000 / sysconf(Int32(_SC_CLK_TCK)))
    }
}
