import Testing

@testable import Redis

/// Random requests, answers, failures and time for ``RedisLink``, with what must always hold.
struct RedisLinkSimulation {
    /// A small generator whose numbers depend on the seed alone.
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    var random: Random
    var now = ContinuousClock.now
    var link: RedisLink<Int>
    var asked = 0
    var ended: [Int: String] = [:]
    /// Answers that this connection still owes, oldest first.
    var owed: [Int] = []
    var isConnecting = false
    var isOpen = false
    var problems: [String] = []

    init(seed: UInt64) {
        random = Random(state: seed)
        let options = RedisOptions(connectTimeout: .seconds(1), commandTimeout: .seconds(2), retryAfter: .milliseconds(100), limit: 20)
        link = RedisLink(RedisAddress(host: "r", port: 1), options: options)
    }

    mutating func run(steps: Int) {
        for _ in 0..<steps { step() }
        // In the end everything that was asked has ended, once.
        now += .seconds(5)
        perform(link.tick(now))
        perform(link.end())
        if ended.count != asked { problems.append("\(asked) asked, \(ended.count) ended") }
    }

    private mutating func step() {
        now += .milliseconds(Int.random(in: 0...120, using: &random))
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4: submit()
        case 4 where isConnecting: connect()
        case 4..<8 where isOpen && !owed.isEmpty: reply()
        case 8 where isOpen && Int.random(in: 0..<5, using: &random) == 0: perform(link.failed(RedisError(.lost, "EOF"), now: now))
        default: perform(link.tick(now))
        }
        if let deadline = link.deadline, deadline <= now { perform(link.tick(now)) }
        if let deadline = link.deadline, deadline <= now { problems.append("something is still due after a tick") }
    }

    private mutating func submit() {
        asked += 1
        let commands = (0..<Int.random(in: 1...3, using: &random)).map { _ in RedisCommand("GET", asked) }
        perform(link.submit(Exchange(commands: commands, deadline: now + .seconds(2), promise: asked), now: now))
    }

    private mutating func connect() {
        isConnecting = false
        guard Bool.random(using: &random) else { return perform(link.failed(RedisError(.refused, "no"), now: now)) }
        isOpen = true
        perform(link.connected())
    }

    private mutating func reply() {
        let number = owed.removeFirst()
        let isReadOnly = Int.random(in: 0..<10, using: &random) == 0
        perform(link.replied(isReadOnly ? .error(RedisError(.readOnly, "replica")) : .integer(Int64(number)), now: now))
    }

    private mutating func perform(_ actions: RedisLink<Int>.Actions) {
        for action in actions {
            switch action {
            case .connect:
                if isConnecting || isOpen { problems.append("connects twice") }
                isConnecting = true
            case .send(let commands):
                if !isOpen { problems.append("sends without a connection") }
                owed += commands.compactMap { Int(String(decoding: $0.arguments[1], as: UTF8.self)) }
            case .close:
                if !isOpen { problems.append("closes what is not open") }
                isOpen = false
                owed = []
            case .finish(let exchange):
                let right = exchange.replies.allSatisfy { reply in
                    if case .success(.integer(let number)) = reply { number == Int64(exchange.promise) } else { true }
                }
                end(exchange.promise, right && exchange.replies.count == exchange.commands.count ? "finished" : "with wrong answers")
            case .fail(let exchange, let error): end(exchange.promise, "\(error.code)")
            }
        }
    }

    private mutating func end(_ number: Int, _ how: String) {
        if let before = ended.updateValue(how, forKey: number) { problems.append("\(number) ended twice: \(before), \(how)") }
        if how == "with wrong answers" { problems.append("\(number) has wrong answers") }
    }
}

@Suite("A client's link, whatever happens")
struct RedisLinkSimulationTests {
    @Test("every request ends once, with its own answers", arguments: 0..<20)
    func simulate(_ seed: Int) {
        var simulation = RedisLinkSimulation(seed: UInt64(seed))
        simulation.run(steps: 1000)
        #expect(simulation.problems == [], "seed \(seed)")
        #expect(simulation.ended.values.contains("finished"))
        #expect(Set(simulation.ended.values).isSuperset(of: ["refused", "timeout", "lost"]), "seed \(seed) met too little")
    }
}
