import Synchronization

/// Counts of one server or client on one loop: `count` belongs to the loop's thread, `published` to everybody.
final class Tally: Sendable {
    // Touched by its loop's thread only; others read `published`.
    nonisolated(unsafe) var count = StreamCounters()
    private let shown = Mutex(StreamCounters())

    var published: StreamCounters { shown.withLock { $0 } }

    func publish(waits: Int, blockBytes: Int) {
        count.waits = waits
        count.openBlockBytes = blockBytes
        shown.withLock { $0 = count }
    }

    func flood(_ kind: FloodKind) {
        count.floods[kind, default: 0] += 1
    }
}

extension StreamCounters {
    /// The sum of both, field by field.
    static func + (a: StreamCounters, b: StreamCounters) -> StreamCounters {
        var sum = a
        for path in fields { sum[keyPath: path] += b[keyPath: path] }
        sum.floods.merge(b.floods) { $0 + $1 }
        return sum
    }

    private static var fields: [WritableKeyPath<StreamCounters, Int>] {
        [
            \.openConnections, \.openStreams, \.accepted, \.inLine, \.leftInLine, \.turnedAway, \.begun, \.messagesReceived, \.messagesSent,
            \.bytesReceived, \.bytesSent, \.receiveCalls, \.sendCalls, \.waits, \.overflows, \.refusedStreams, \.greetingTimeouts, \.keepaliveTimeouts,
            \.protocolErrors, \.tlsFailures, \.tlsResumed, \.openBlockBytes, \.trims, \.trimTime_ns,
        ]
    }
}
