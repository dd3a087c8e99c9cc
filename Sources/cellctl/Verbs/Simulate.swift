import Cell
import FoundationEssentials
import Glibc
import Operator
import Simulation

extension Verb {
    static let simulate = Verb(
        name: "simulate", summary: "Lives through disasters on a virtual clock, with the operator's own planner.",
        usage: [
            "simulate [--seeds COUNT] [--hours HOURS] [--servers COUNT]",
            "simulate -f FILE --kill zone=ZONE|SERVER --at TIME [--hours HOURS] [--failures PERCENT]",
        ],
        about: """
            Without a file: so many seeds, each a whole cell with disasters of its own, for so many virtual hours. After every event the invariants are checked: one owner for each partition, epochs that never go back, failover that moves nothing else, caps, the brake, rest after every disaster. The first seed that breaks one is made as short as possible and printed as a timeline, with exit code 1.

            With -f: rehearses a loss on the cell that the file describes, and prints what happens when, how many clients notice, and the longest outage. \
            With --hours the cell is watched for so long, and with --failures its hardware fails meanwhile.
            """,
        options: [.file, .seeds, .seed, .hours, .simulatedServers, .partitions, .lanes, .kill, .at, .failures, .without, .clients, .json],
        examples: [
            ("cellctl simulate --seeds 10000", "10,000 virtual hours of disasters"),
            ("cellctl simulate --seed 4711", "one seed, as a timeline"),
            ("cellctl simulate -f cell.yaml --kill zone=b --at 10s", "what a lost zone would do"),
        ],
        run: { call, terminal in
            try call.expectWords(0...0, "no words")
            if call.has(.file) { return try rehearse(call, terminal) }
            try await liveThroughSeeds(call, terminal)
        })
}

private func liveThroughSeeds(_ call: Call, _ terminal: Terminal) async throws {
    var shape = Shape()
    shape.servers = try call.positive(.simulatedServers, atMost: 10_000) ?? 12
    shape.partitions = try call.positive(.partitions, atMost: 1_000_000) ?? 360
    shape.hours = Double(try call.positive(.hours, atMost: 1_000) ?? 1)
    if let seed = try call.positive(.seed, atMost: .max) {
        let outcome = SeedRun(seed: UInt64(seed), shape: shape, rules: try call.rules()).run(recording: true)
        for line in outcome.timeline { terminal.say(line) }
        guard let violation = outcome.violation else { return terminal.say("seed \(seed): every invariant holds") }
        throw Failure(.failed, "seed \(seed): \(violation.invariant) does not hold: \(violation.text)", remedy: "Report it as a defect, with the seed")
    }
    let count = try call.positive(.seeds, atMost: 100_000_000) ?? 200
    let lanes = try call.positive(.lanes, atMost: 1_024) ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    let clock = ContinuousClock()
    let began = clock.now
    var seeds = Seeds(1...UInt64(count), shape: shape, lanes: lanes)
    seeds.rules = try call.rules()
    let summary = await seeds.run { summary in
        let seconds = Double((clock.now - began).components.seconds)
        if terminal.isLive || summary.seeds % max(1, count / 20) == 0 {
            terminal.progress(
                "\(summary.seeds) of \(count) seeds in \(Int(seconds)) s: \(summary.faults) faults, \(summary.failovers + summary.plannedMoves) partitions moved"
            )
        }
    }
    terminal.endProgress()
    try report(summary, took: clock.now - began, shape, call, terminal)
}

private func report(_ summary: Summary, took: Duration, _ shape: Shape, _ call: Call, _ terminal: Terminal) throws {
    let seconds = Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
    if call.has(.json) {
        terminal.say(try prettyJSON(summary))
    } else {
        let rows = [
            ["seeds", "\(summary.seeds)"], ["virtual hours", "\(Int(summary.hours))"], ["seconds", "\((seconds * 10).rounded() / 10)"],
            ["faults", "\(summary.faults)"], ["plans", "\(summary.plans)"], ["servers started", "\(summary.starts)"],
            ["partitions moved as planned", "\(summary.plannedMoves)"], ["partitions failed over", "\(summary.failovers)"],
            ["publications", "\(summary.publications)"], ["bytes through Redis", "\(summary.bytes)"],
            ["longest time without owner", "\(summary.longestOutage_us / 1_000) ms"],
            ["  while nothing else hindered", "\(summary.longestUnexcused_us / 1_000) ms"],
        ]
        for line in Table(columns: ["QUANTITY", "VALUE"], rows: rows).lines() { terminal.say(line) }
    }
    guard let seed = summary.failedSeed, let failure = summary.failure else { return }
    terminal.complain("seed \(seed): \(failure.invariant) does not hold; looking for the shortest history that shows it")
    if let shortest = SeedRun(seed: seed, shape: shape, rules: try call.rules()).shrunk() { for line in shortest.timeline { terminal.complain(line) } }
    throw Failure(.failed, "seed \(seed): \(failure.invariant) does not hold: \(failure.text)", remedy: "Report it as a defect, with the seed")
}

private func rehearse(_ call: Call, _ terminal: Terminal) throws {
    let cells = try WishedCell.read(call.values(.file))
    guard cells.count == 1 else { throw Failure.usage("the files describe \(cells.count) cells", remedy: "Rehearse one at a time") }
    let spec = cells[0].spec
    let kills = call.values(.kill)
    guard !kills.isEmpty else { throw Failure.usage("nothing is lost", remedy: "Write --kill zone=ZONE or --kill SERVER") }
    let times = call.values(.at)
    var faults: [Fault] = []
    for (place, kill) in kills.enumerated() {
        let text = times.isEmpty ? "10s" : times[min(place, times.count - 1)]
        guard let at = Quantity.duration(of: text) else { throw Failure.usage("--at \(text) is no duration", remedy: "Write it like --at 10s") }
        faults.append(Fault(try fault(kill), at_us: at.milliseconds * 1_000))
    }
    let clients =
        try call.positive(.clients, atMost: 1_000_000_000) ?? spec.messaging.servers
        * (spec.messaging.autoscale?.targetConnections ?? spec.messaging.maxConnections * 7 / 10)
    var rehearsal = DisasterRehearsal(spec, clients: clients, faults: faults)
    rehearsal.hours = try call.positive(.hours, atMost: 1_000).map { Double($0) }
    rehearsal.failures_percent = Double(try call.positive(.failures, atMost: 10_000) ?? 0)
    rehearsal.cpu_us = threadCPU_us
    let result: DisasterRehearsal.Result
    do throws(DisasterRehearsal.Problem) { result = try rehearsal.run() } catch {
        switch error {
        case .restless(let why): throw Failure(.failed, "the cell does not come to rest: \(why)", remedy: "Change the file so that it can")
        case .noSuch(let what, let there):
            throw Failure.usage("there is no \(what)", remedy: there.isEmpty ? "The file names no zones" : "There are \(there.joined(separator: ", "))")
        }
    }
    if call.has(.json) {
        terminal.say(try prettyJSON(result))
    } else {
        for line in result.timeline.prefix(longestTimeline) { terminal.say(line) }
        if result.timeline.count > longestTimeline { terminal.say("and \(result.timeline.count - longestTimeline) lines more: --json tells all") }
        terminal.say("")
        let rows = [
            ["clients", "\(result.clients)"], ["clients affected", "\(result.affectedClients)"], ["partitions affected", "\(result.affectedPartitions)"],
            ["longest outage", "\(result.longestOutage_us / 1_000) ms"],
            ["as the spec says again after", result.recovery_us.map { "\($0 / 1_000) ms" } ?? "not within 10 minutes"],
            ["publications", "\(result.publications)"], ["bytes through Redis", "\(result.bytes)"],
            ["partitions failed over", "\(result.failovers)"], ["partitions moved as planned", "\(result.plannedMoves)"],
            ["servers whose hardware failed", "\(result.hardwareFailures)"], ["plans", "\(result.plans)"],
            ["operator's CPU, looking and planning", "\(result.operatorCPU_us / 1_000) ms"],
        ]
        for line in Table(columns: ["QUANTITY", "VALUE"], rows: rows).lines() { terminal.say(line) }
    }
    if let violation = result.violation { throw Failure(.failed, "\(violation.invariant) does not hold: \(violation.text)", remedy: "Report it as a defect") }
    if result.recovery_us == nil { throw Failure(.failed, "the cell is not as its spec says within 10 minutes", remedy: "Look at the timeline") }
}

/// Lines that people read.
private let longestTimeline = 200

private func threadCPU_us() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
}

private func fault(_ text: String) throws(Failure) -> Fault.Kind {
    if text.hasPrefix("zone=") { return .killZoneNamed(String(text.dropFirst(5))) }
    guard let id = ServerID(text) else { throw .usage("--kill \(text) is neither zone=ZONE nor a server", remedy: "Write it like zone=b or messaging-2") }
    return .killNamed(id)
}

extension Option {
    static let seeds = Option(name: "seeds", value: .required("COUNT"), about: "How many seeds, from 1 on; 200 unless given.")
    static let seed = Option(name: "seed", value: .required("SEED"), about: "This seed alone, with its timeline.")
    static let hours = Option(name: "hours", value: .required("COUNT"), about: "Virtual hours of each seed; 1 unless given.")
    static let simulatedServers = Option(
        name: "servers", value: .required("COUNT"), about: "Messaging servers of the cell, standbys included; 12 unless given.")
    static let partitions = Option(name: "partitions", value: .required("COUNT"), about: "Its partitions; 360 unless given.")
    static let lanes = Option(name: "lanes", value: .required("COUNT"), about: "Seeds at a time; as many as there are cores unless given.")
    static let kill = Option(name: "kill", value: .required("WHAT"), about: "What is lost: zone=ZONE, or a server like messaging-2. May be repeated.")
    static let failures = Option(
        name: "failures", value: .required("PERCENT"), about: "Of servers, each year: those whose hardware fails. With -f and --hours.")
    static let without = Option(
        name: "without", value: .required("RULE"), about: "Switches one rule of the planner off, to see that the invariants notice.",
        words: Rule.allCases.map(\.rawValue))
    static let at = Option(name: "at", value: .required("TIME"), about: "When, after the cell has come to rest; 10s unless given. Of several, each its own.")
}

extension Call {
    /// All of the planner's rules but one.
    fileprivate func rules() throws(Failure) -> Rules {
        guard let name = value(.without) else { return .all }
        guard let rule = Rule(rawValue: name) else {
            throw .unknown(
                "rule of the planner", name, among: Rule.allCases.map(\.rawValue),
                remedy: "Write one of \(Rule.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return Rules.all.without(rule)
    }

    fileprivate func positive(_ option: Option, atMost most: Int) throws(Failure) -> Int? {
        guard let text = value(option) else { return nil }
        guard let number = Int(text), number > 0, number <= most else {
            throw .usage("--\(option.name) is \"\(text)\"", remedy: "Write a whole number from 1 to \(most)")
        }
        return number
    }
}
