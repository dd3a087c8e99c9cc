import func Support.freePort
import Synchronization

/// Values that callbacks brought, in order.
final class Collector<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])
    func add(_ more: [Value]) { values.withLock { $0 += more } }
    var all: [Value] { values.withLock { $0 } }
    var count: Int { values.withLock { $0.count } }
}

/// Polls until `condition` holds; false when it does not within `limit`, which is for what never comes: the machine may be slow.
func eventually(_ limit: Duration = .seconds(60), _ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return try await condition()
}

/// A TCP port of loopback that nobody listens on, and that no other test gets.
func freePort() -> UInt16 { UInt16(Support.freePort() as Int) }
