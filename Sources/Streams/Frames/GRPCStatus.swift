/// How a gRPC call ended.
public struct GRPCStatus: Sendable, Equatable, CustomStringConvertible {
    public var code: GRPCCode
    /// Any text; it is cut to 1 KiB and percent-encoded on the wire.
    public var message: String

    public init(_ code: GRPCCode, _ message: String = "") {
        self.code = code
        self.message = message
    }

    public static let ok = GRPCStatus(.ok)
    public var description: String { message.isEmpty ? "\(code)" : "\(code): \(message)" }
}

/// gRPC's status codes; the raw value is the number on the wire.
public enum GRPCCode: Int, Sendable, CaseIterable {
    case ok = 0, cancelled, unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists, permissionDenied
    case resourceExhausted, failedPrecondition, aborted, outOfRange, unimplemented, `internal`, unavailable, dataLoss, unauthenticated
}

/// What became of a message handed to a stream.
public enum SendResult: Sendable, Equatable {
    /// It is on its way: written, or to be written at the end of this tick.
    case sent
    /// The reader is slow: it waits behind others. The value is the bytes that now wait on this stream.
    case backlogged(Int)
    /// Nothing was appended: the queue of this stream would exceed the configured backlog.
    case overflow
    /// Nothing was appended: the stream is over, or was finished or half-closed before.
    case ended
}

/// Why a stream is over.
public enum EndReason: Sendable, Equatable {
    /// `finish` was called, and the trailers are written.
    case finished
    /// The peer reset the stream.
    case cancelled
    /// The call's own deadline passed; the peer was told DEADLINE_EXCEEDED.
    case deadlineExceeded
    /// The connection broke, was closed, or its peer did not answer keepalive.
    case connectionLost
    /// This layer ended the call with that status: a message over the limit, a compressed one, a violation of the protocol.
    case refused(GRPCStatus)
    /// The grace of a drain or of the maximum age had passed.
    case drained
    /// The loop or the server was stopped.
    case stopped
}
