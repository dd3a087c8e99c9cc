import Cell
import Operator

extension Verb {
    static let move = Verb(
        name: "move", summary: "Moves partitions to a server by hand.", usage: ["move PARTITIONS SERVER", "move PARTITIONS any"],
        about: """
            The server reads the partitions up to the log's end, then owns them; their clients are told where to go. They stay there while it owns partitions at \
            all: balance moves others. `any` lets balance decide about them again.

            Refused when the server is not ready, stands by, drains, or is none of the cell's.
            """,
        examples: [
            ("cellctl move 17 messaging-2", "one partition"), ("cellctl move 0-9,40 messaging-2", "eleven"),
            ("cellctl move 0-719 any", "as if nobody had asked"),
        ],
        run: { call, terminal in
            try call.expectWords(2...2, "partitions and a server")
            guard let partitions = PartitionSet(call.words[0]), !partitions.isEmpty else {
                throw Failure.usage("\"\(call.words[0])\" are no partitions", remedy: "Write them like 17 or 0-9,40")
            }
            let target = ServerID(call.words[1])
            guard target != nil || call.words[1] == "any" else {
                throw Failure.usage("\"\(call.words[1])\" is no server's name", remedy: "Write it like messaging-2, or any")
            }
            let session = try Session(call)
            let cell = try await session.cell()
            let isNew = try await session.wish(in: cell) { wishes, spec, servers in
                if let target, let refusal = wishes.refusal(ofMoving: partitions, to: target, spec, servers) { throw refusal }
                wishes.place(partitions, at: target)
            }
            let what = partitions.count == 1 ? "partition \(partitions) is" : "partitions \(partitions) are"
            terminal.say("\(what) \(target.map { "to be owned by \($0)" } ?? "balanced again")\(isNew ? "" : " already")")
        })
}
