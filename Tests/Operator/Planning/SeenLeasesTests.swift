import Blackboard
import Cell
import Testing

@testable import Operator

extension OperatorTests {
    /// Redis at 1,000 s, and a lease of 900 ms of one server that had one until then.
    struct SeenLease: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var before_ms: Int64
        var now_ms: Int64
        /// Whether leases count again only after one lease.
        var begins: Bool
    }

    @Suite("Leases as they are read")
    struct SeenLeasesTests {
        @Test(
            "a lease that ends earlier than it did: Redis went back, unless it was renewed just now",
            arguments: [
                SeenLease(testDescription: "renewed", before_ms: 400, now_ms: 890, begins: false),
                SeenLease(testDescription: "as it was", before_ms: 400, now_ms: 400, begins: false),
                SeenLease(testDescription: "Redis is a second old", before_ms: 890, now_ms: -110, begins: true),
                SeenLease(testDescription: "Redis's clock is half a second ahead", before_ms: 890, now_ms: 390, begins: true),
                SeenLease(testDescription: "its server has learned that leases are shorter", before_ms: 1_490, now_ms: 895, begins: false),
                SeenLease(testDescription: "Redis's clock went back by an hour", before_ms: 890, now_ms: 3_600_890, begins: true),
                SeenLease(testDescription: "the same, when the lease was half over", before_ms: 450, now_ms: 3_600_450, begins: true),
                SeenLease(testDescription: "the same, and the lease had run out already", before_ms: -10, now_ms: 3_599_990, begins: false),
            ])
        func goesBack(_ example: SeenLease) throws {
            var observed = ObservedCell()
            let server = ServerID(.messaging, 1)
            let incarnation = try #require(Incarnation("a"))
            func read(_ left_ms: Int64) {
                let lease = ServersInRedis.Lease(server: server, incarnation: incarnation, expiry_ms: 1_000_000 + left_ms)
                observed.take(
                    ServersInRedis(time_ms: 1_000_000, leases: [lease], reports: [:]), asked: Moment(milliseconds: 50_000), lease: .milliseconds(900))
            }
            read(example.before_ms)
            #expect(observed.seenSince == Moment(milliseconds: 0))
            read(example.now_ms)
            #expect(observed.seenSince == Moment(milliseconds: example.begins ? 50_000 : 0))
        }
    }
}
