import Blackboard
import Cell
import ChatClient
import Processes
import Threads

extension Verb {
    static let bench = Verb(
        name: "bench", summary: "Measures a running cell, and the operator's own code.",
        usage: [
            "bench failover [--blow kill|hang] [--with COMMAND] [--rounds COUNT]", "bench connections [--clients COUNT]", "bench messages [--seconds COUNT]",
            "bench history [--rows COUNT] [--clients COUNT] [--seconds COUNT]", "bench churn [--for DURATION] [--rate COUNT] [--clients COUNT]",
            "bench drain [--rounds COUNT]", "bench plan", "bench publish",
        ],
        about: """
            Measures a running cell with clients of the contract, and prints a table with the machine it ran on.

            failover: kills (or hangs) the messaging server with the most clients, round after round under load: the time until each is served again. \
            --with takes it away otherwise: COMMAND is for sh, with the server in $SERVER, $POD, $CONTAINER and $PID.
            connections: what a quiet stream costs the messaging servers in memory.
            history: makes --rows rows (100,000 unless given) through the cell's store, for users of its own, then asks for pages of 50: of inboxes, of one dialog \
            with half of the rows, and of dialogs with a thousandth of the rest. They stay in the store.
            messages: latency from being due to being acknowledged and delivered, CPU for each message, and whether anything was lost, doubled or reordered.
            churn: for --for (1h unless given) --rate (100) clients a second connect, send a message and leave, --clients (200) of them at a time; prints the memory \
            of the servers as time goes by, and how it grew after the first five minutes. A cell whose messaging.window.age is longer still fills its window then.
            drain: the messaging server with the most clients is drained under load, round after round: the gap of each client, and whether anything was lost.
            plan: the planner's own times on synthetic fleets of 2,000 and 5,000 servers; needs neither cell nor Redis.
            publish: a failover among 2,000 servers, written into Redis under a name of its own and removed again; needs no cell.
            """,
        words: BenchKind.allCases.map(\.rawValue),
        options: [.clients, .rate, .seconds, .rows, .rounds, .time, .blow, .with, .connect, .ca, .json],
        examples: [
            ("cellctl bench failover --clients 1000 --rounds 5", "kill -9, five times"),
            ("cellctl bench failover --with 'kubectl delete pod -n chat $POD'", "pods that are deleted"),
            ("cellctl bench connections --clients 10000 --json", "memory for each of 10,000 idle streams"),
        ],
        run: { call, terminal in
            try call.expectWords(1...1, "what to measure: \(BenchKind.allCases.map(\.rawValue).joined(separator: ", "))")
            guard let kind = BenchKind(rawValue: call.words[0]) else {
                throw Failure.unknown("bench", call.words[0], among: BenchKind.allCases.map(\.rawValue), remedy: "cellctl help bench")
            }
            if kind == .plan { return try FleetBenches.plan(terminal).print(terminal, asJSON: call.has(.json)) }
            if kind == .publish { return try await FleetBenches.publish(try Session(call).redis, terminal).print(terminal, asJSON: call.has(.json)) }
            // More than a shell gives: one for each client.
            _ = Descriptors.raiseLimit()
            let session = try Session(call)
            let bench = CellBench(
                board: session.board(try await session.cell()), connect: try await call.connectService(), tls: try call.trusted(), terminal: terminal)
            var size = Fleet.Size()
            size.users = try call.count(.clients) ?? 1_000
            size.rate = try call.count(.rate) ?? 300
            var visitors = Churn.Size()
            visitors.rate = try call.count(.rate) ?? visitors.rate
            visitors.places = try call.count(.clients) ?? visitors.places
            let report =
                switch kind {
                case .failover: try await bench.failover(try call.blow(), size, rounds: try call.count(.rounds) ?? 5)
                case .connections: try await bench.connections(try call.count(.clients) ?? 10_000)
                case .history:
                    try await bench.history(
                        rows: try call.count(.rows) ?? 100_000, clients: try call.count(.clients) ?? 4, for: .seconds(try call.count(.seconds) ?? 20))
                case .churn: try await bench.churn(visitors, for: try call.time())
                case .drain: try await bench.drain(size, rounds: try call.count(.rounds) ?? 3)
                case .plan, .publish: preconditionFailure("they were measured above")
                case .messages: try await bench.messages(size, for: .seconds(try call.count(.seconds) ?? 20))
                }
            try report.print(terminal, asJSON: call.has(.json))
            if report.isClean == false { throw Failure(.failed, "messages were lost, doubled or reordered", remedy: "See cellctl get events") }
        })
}

private enum BenchKind: String, CaseIterable {
    case failover, connections, messages, history, churn, drain, plan, publish
}

extension Option {
    static let seconds = Option(name: "seconds", value: .required("COUNT"), about: "How long messages are sent.")
    static let rows = Option(name: "rows", value: .required("COUNT"), about: "Rows that the history is given first.")
    static let rounds = Option(name: "rounds", value: .required("COUNT"), about: "How often a server is taken away; 5 unless given.")
    static let time = Option(name: "for", value: .required("DURATION"), about: "How long clients come and go, like 10m; 1h unless given.")
    static let blow = Option(name: "blow", value: .required("HOW"), about: "kill (kill -9, the default) or hang (SIGSTOP).", words: ["kill", "hang"])
    static let with = Option(name: "with", value: .required("COMMAND"), about: "How a server is taken away, instead of --blow.")
    static let json = Option(name: "json", about: "Prints the figures as JSON.")
}

extension Call {
    fileprivate func time() throws(Failure) -> Duration {
        guard let text = value(.time) else { return .seconds(3_600) }
        guard let time = Quantity.duration(of: text), time >= .seconds(10) else {
            throw .usage("--for is \"\(text)\"", remedy: "Write a duration of at least ten seconds, like --for 2m or --for 1h")
        }
        return time
    }

    fileprivate func blow() throws(Failure) -> FailureTrial.Blow {
        if let command = value(.with) {
            guard !has(.blow) else { throw .usage("--blow and --with are two answers to one question", remedy: "Write one of them") }
            return .command(command)
        }
        switch value(.blow) {
        case nil, "kill": return .kill
        case "hang": return .hang
        case let text?: throw .usage("--blow is \"\(text)\"", remedy: "Write kill or hang")
        }
    }
}
