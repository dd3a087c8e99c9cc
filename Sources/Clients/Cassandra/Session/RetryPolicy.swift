/// Whether a statement that failed is tried once more, on another node where there is one. Values only.
struct RetryPolicy: Sendable {
    static let maxAttempts = 3

    /// The node has certainly not run it, whatever the statement is.
    private static let neverRun: Set<CassandraError.Code> = [.noNode, .bootstrapping, .busy, .unavailable]
    /// It may have been run; running it again is harmless only when it is idempotent.
    private static let unknown: Set<CassandraError.Code> = [
        .timedOut, .connectionLost, .overloaded, .serverError, .readTimeout, .writeTimeout, .protocolViolation, .malformed,
    ]

    static func again(after code: CassandraError.Code, attempts: Int, idempotent: Bool) -> Bool {
        guard attempts < maxAttempts else { return false }
        // Another node counts the replicas anew once; then it is what it is.
        if code == .unavailable { return attempts < 2 }
        return neverRun.contains(code) || idempotent && unknown.contains(code)
    }
}
