import FoundationEssentials
import Glibc

/// A folder of one test, removed with everything in it when its last reference goes.
public final class TemporaryFolder: Sendable {
    public let path: String

    public init(_ name: String = "cell") throws {
        let parent = environment("TMPDIR") ?? "/tmp"
        path = "\(parent)/\(name)-\(UUID().uuidString.prefix(13).lowercased())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of `name` in it; the file need not be there.
    public func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file and returns its path.
    @discardableResult
    public func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: URL(filePath: file(name)))
        return file(name)
    }

    /// Removes what is in it.
    public func wipe() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            try FileManager.default.removeItem(atPath: file(name))
        }
    }
}

/// The text of a file; empty when there is none.
public func text(ofFile path: String) -> String {
    (try? Data(contentsOf: URL(filePath: path))).map { String(decoding: $0, as: UTF8.self) } ?? ""
}

/// The Python that has grpcio.
public let python = environment("CELL_PYTHON") ?? "python3"

/// An environment variable that is set and not empty.
public func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}
