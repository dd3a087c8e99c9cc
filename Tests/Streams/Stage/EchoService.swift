import Streams
import Synchronization

/// A gRPC service that shows what a server does: each method of `/test.Echo/` exercises one thing.
final class EchoService: GRPCService {
    /// What the tests ask afterwards, over all loops.
    final class Journal: Sendable {
        struct Entry: Sendable, Equatable {
            var path: String
            var reason: EndReason
        }
        private let entries = Mutex<[Entry]>([])
        private let started = Mutex(0)
        private let finished = Mutex(0)
        /// What `/test.Echo/Drain` does.
        let drain = Mutex<(@Sendable () -> Void)?>(nil)

        var ended: [Entry] { entries.withLock { $0 } }
        var endedCount: Int { finished.withLock { $0 } }
        var begun: Int { started.withLock { $0 } }
        func begin() { started.withLock { $0 += 1 } }
        func end(_ path: String, _ reason: EndReason) {
            finished.withLock { $0 += 1 }
            // Fuzzers end millions.
            entries.withLock { if $0.count < 10_000 { $0.append(Entry(path: path, reason: reason)) } }
        }
    }

    private final class Call {
        var last: [UInt8]?
    }

    private let journal: Journal

    init(_ journal: Journal) {
        self.journal = journal
    }

    func begin(_ stream: ServerStream) {
        journal.begin()
        switch stream.path {
        case "/test.Echo/Unary", "/test.Echo/Bidi", "/test.Echo/Count", "/test.Echo/Fail", "/test.Echo/Hang", "/test.Echo/Pour":
            stream.context = Call()
        case "/test.Echo/Metadata":
            let values = stream.metadataValues("x-many").joined(separator: ",")
            let binary = stream.binaryMetadata("x-data-bin") ?? []
            stream.sendHeaders([("x-initial", values), ("x-initial-bin", BinaryMetadata.text(binary))])
            _ = stream.send(Array("\(stream.metadata("x-one") ?? "none")|\(stream.peer.isEmpty)|\(stream.deadline == nil)".utf8))
            stream.finish(.ok, trailers: [("x-trailing", "late"), ("x-trailing-bin", BinaryMetadata.text(binary.reversed()))])
        case "/test.Echo/Drain":
            _ = stream.send([])
            stream.finish(.ok)
            journal.drain.withLock { $0 }?()
        case "/test.Echo/Denied":
            stream.finish(GRPCStatus(.unauthenticated, "no token"))
        default:
            stream.finish(GRPCStatus(.unimplemented, "unknown method \(stream.path)"))
        }
    }

    func receive(_ message: UnsafeRawBufferPointer, on stream: ServerStream) {
        switch stream.path {
        case "/test.Echo/Bidi": _ = stream.send(message)
        case "/test.Echo/Unary": (stream.context as? Call)?.last = Array(message)
        case "/test.Echo/Count": count(message, stream)
        case "/test.Echo/Fail": fail(message, stream)
        case "/test.Echo/Pour": pour(stream)
        default: break
        }
    }

    func halfClosed(_ stream: ServerStream) {
        switch stream.path {
        case "/test.Echo/Hang", "/test.Echo/Pour": return
        case "/test.Echo/Unary":
            if let last = (stream.context as? Call)?.last { _ = stream.send(last) }
        default: break
        }
        stream.finish(.ok)
    }

    func ended(_ stream: ServerStream, _ reason: EndReason) { journal.end(stream.path, reason) }

    /// "3" answers with "0", "1", "2" and OK.
    private func count(_ message: UnsafeRawBufferPointer, _ stream: ServerStream) {
        for number in 0..<(Int(String(decoding: message, as: UTF8.self)) ?? 0) { _ = stream.send(Array("\(number)".utf8)) }
        stream.finish(.ok)
    }

    /// "5:text" ends with NOT_FOUND and that text.
    private func fail(_ message: UnsafeRawBufferPointer, _ stream: ServerStream) {
        let parts = String(decoding: message, as: UTF8.self).split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        stream.finish(GRPCStatus(GRPCCode(rawValue: Int(parts[0]) ?? 2) ?? .unknown, parts.count > 1 ? String(parts[1]) : ""))
    }

    /// Sends 1 KiB messages until the reader's backlog is full, then ends as a chat server does with a reader that is too slow.
    private func pour(_ stream: ServerStream) {
        let message = [UInt8](repeating: 7, count: 1024)
        var result = SendResult.sent
        while result != .overflow, result != .ended { result = stream.send(message) }
        stream.finish(GRPCStatus(.resourceExhausted, "too slow after \(stream.backlog) bytes"))
    }
}
