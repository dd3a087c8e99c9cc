import FoundationEssentials
import Glibc

/// Lines on standard error: time, level, words.
public struct OperatorLog: Sendable {
    private let write: @Sendable (String) -> Void

    /// - Parameter write: gets each line without its end.
    public init(
        to write: @escaping @Sendable (String) -> Void = { line in
            let bytes = Array((line + "\n").utf8)
            _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, bytes.count) }
        }
    ) { self.write = write }

    public func info(_ words: String) { line("info ", words) }
    public func warning(_ words: String) { line("warn ", words) }
    public func error(_ words: String) { line("error", words) }

    private func line(_ level: String, _ words: String) {
        write("\(Date.now.formatted(.iso8601.time(includingFractionalSeconds: true))) \(level) \(words)")
    }
}
