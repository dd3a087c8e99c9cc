import FoundationEssentials
import Glibc
import Synchronization

/// Lines on standard error: time, level, server, words.
///
///     2026-11-25T13:40:00.123Z info  messaging-3 owns 0-179
public struct ServerLog: Sendable {
    public enum Level: String, Sendable { case info = "info ", warning = "warn ", error = "error" }

    public let name: String
    private let write: @Sendable (String) -> Void

    /// - Parameter write: gets each line without its end.
    public init(_ name: String, to write: @escaping @Sendable (String) -> Void = Self.standardError) {
        self.name = name
        self.write = write
    }

    public func info(_ words: String) { line(.info, words) }
    public func warning(_ words: String) { line(.warning, words) }
    public func error(_ words: String) { line(.error, words) }

    private func line(_ level: Level, _ words: String) {
        let time = Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        write("\(time) \(level.rawValue) \(name) \(words.replacing("\n", with: " "))")
    }

    /// One `write` for each line, so that lines of several threads do not mix. Where nobody takes it, it is lost: a log must not end a server.
    public static let standardError: @Sendable (String) -> Void = { line in
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// Says something that goes on only when it changes, and once more each `interval`.
public final class RepeatedWords: Sendable {
    private struct Said {
        var words: String?
        var at: ContinuousClock.Instant
    }

    private let interval: Duration
    private let said: Mutex<Said>

    public init(every interval: Duration = .seconds(30)) {
        self.interval = interval
        said = Mutex(Said(words: nil, at: .now))
    }

    /// Whether `words` are to be said now.
    public func isNews(_ words: String, now: ContinuousClock.Instant = .now) -> Bool {
        said.withLock { said in
            guard words != said.words || now - said.at >= interval else { return false }
            said = Said(words: words, at: now)
            return true
        }
    }

    /// It is over. Returns whether it had been said.
    @discardableResult
    public func end() -> Bool {
        said.withLock { said in
            defer { said.words = nil }
            return said.words != nil
        }
    }
}
