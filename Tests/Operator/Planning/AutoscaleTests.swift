import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Autoscaling")
    struct AutoscaleTests {
        private static func scale(up: Int = 30, down: Int = 600) -> MessagingSpec.Autoscale {
            var scale = MessagingSpec.Autoscale(min: 2, max: 10)
            scale.targetConnections = 1_000
            scale.targetMessagesPerSecond = 500
            scale.up = .seconds(up)
            scale.down = .seconds(down)
            return scale
        }

        @Test(
            "what a load asks for",
            arguments: [(0, 0, 2), (2_000, 0, 2), (2_001, 0, 3), (0, 1_501, 4), (9_000, 100, 9), (90_000, 0, 10), (1_000, 5_000, 10)])
        func wanted(_ clients: Int, _ messages: Int, _ servers: Int) {
            #expect(LoadHistory.wanted(Self.scale(), clients: clients, messages: messages) == servers)
        }

        struct Story: Sendable, CustomTestStringConvertible {
            var testDescription: String
            /// From which second on, how many clients; nil: nobody knows.
            var loads: [(from: Int, clients: Int?)]
            /// From which second on, how many servers.
            var expected: [Int: Int]
        }

        @Test(
            "windows",
            arguments: [
                Story(testDescription: "up after up", loads: [(0, 5_000)], expected: [0: 2, 29: 2, 31: 5, 2_000: 5]),
                Story(
                    testDescription: "a peak that is shorter than up is nothing", loads: [(0, 1_000), (100, 9_000), (120, 1_000)], expected: [119: 2, 200: 2]),
                Story(testDescription: "up to the lowest of the window", loads: [(0, 5_000), (20, 8_000)], expected: [31: 5, 49: 5, 52: 8]),
                Story(testDescription: "down after down", loads: [(0, 8_000), (100, 1_000)], expected: [99: 8, 690: 8, 703: 2]),
                Story(
                    testDescription: "down to the highest of the window", loads: [(0, 8_000), (100, 1_000), (400, 4_000)], expected: [690: 8, 703: 4, 5_000: 4]),
                Story(
                    testDescription: "a hole begins the window anew", loads: [(0, 8_000), (100, 1_000), (600, nil), (700, 1_000)],
                    expected: [710: 8, 1_290: 8, 1_305: 2]),
            ])
        func windows(_ story: Story) {
            var history = LoadHistory()
            let scale = Self.scale()
            var servers = 2
            for second in 0...5_000 {
                let now = Moment(milliseconds: 1_000_000 + Int64(second) * 1_000)
                let clients = story.loads.last { $0.from <= second }?.clients
                history.observe(clients.map { (clients: $0, messages: 0) }, scale, now: now)
                servers = history.decision(scale, current: servers, now: now)
                if let expected = story.expected[second] { #expect(servers == expected, "after \(second) s") }
                #expect(history.samples.count <= 602)
            }
        }

        @Test("bounds that change hold at once")
        func bounds() {
            #expect(LoadHistory().decision(Self.scale(), current: 12, now: Moment(milliseconds: 5)) == 10)
            #expect(LoadHistory().decision(Self.scale(), current: 1, now: Moment(milliseconds: 5)) == 2)
            #expect(LoadHistory().decision(Self.scale(), current: 7, now: Moment(milliseconds: 5)) == 7)
        }

        @Test("who scales by hand beyond the bounds is answered once, with what the load asks for")
        func beyondBounds() {
            var history = LoadHistory()
            for second in 0...700 { history.observe((clients: 6_000, messages: 0), Self.scale(), now: Moment(milliseconds: Int64(second) * 1_000)) }
            let now = Moment(milliseconds: 700_000)
            let wanted = history.decision(Self.scale(), current: 6, now: now)
            #expect(wanted > 2 && wanted < 10)
            for current in [1, 20] { #expect(history.decision(Self.scale(), current: current, now: now) == wanted) }
        }

        @Test("the planner has as many servers as was decided, within the bounds")
        func plans() {
            var world = World(World.spec(servers: 2, standbys: 1) { $0.messaging.autoscale = Self.scale() })
            expectSettles(&world)
            #expect(world.owners.count == 2)
            world.observed.scaledTo = 5
            expectSettles(&world)
            #expect(world.owners.count == 5)
            world.spec.messaging.autoscale = nil
            expectSettles(&world)
            #expect(world.owners.count == 2, "without it the spec's number counts")
        }
    }
}
