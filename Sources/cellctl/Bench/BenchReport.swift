import FoundationEssentials

/// Figures of one bench, with the command and the machine they come from.
struct BenchReport: Codable, Sendable {
    struct Figure: Codable, Sendable {
        var name: String
        var value: Double
        var unit: String
    }

    var bench: String
    var command: String
    var machine = Machine.this
    var figures: [Figure] = []
    /// Whether nothing was lost, doubled or reordered; nil where no messages were sent.
    var isClean: Bool?

    init(_ bench: String) {
        self.bench = bench
        command = CommandLine.arguments.map { $0.hasSuffix("cellctl") ? "cellctl" : $0 }.joined(separator: " ")
    }

    mutating func add(_ name: String, _ value: Double, _ unit: String = "") { figures.append(Figure(name: name, value: value, unit: unit)) }
    mutating func add(_ name: String, _ value: Int, _ unit: String = "") { add(name, Double(value), unit) }
    mutating func add(_ name: String, _ time: Duration?) {
        guard let time else { return }
        add(name, Double(time.components.seconds) * 1_000 + Double(time.components.attoseconds / 1_000_000_000_000) / 1_000, "ms")
    }

    func print(_ terminal: Terminal, asJSON: Bool) throws {
        if asJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
            return terminal.say(String(decoding: try encoder.encode(self), as: UTF8.self))
        }
        terminal.say("\(command)\n\(machine.text)\n")
        for line in Table(columns: ["QUANTITY", "VALUE", "UNIT"], rows: figures.map { [$0.name, Self.text($0.value), $0.unit] }).lines() { terminal.say(line) }
    }

    /// Three digits, or whole.
    private static func text(_ value: Double) -> String {
        if value < 0 { return "-" + text(-value) }
        if value == Double(Int(value)) || value >= 100 { return "\(Int(value + 0.5))" }
        let scaled = Int(value * (value < 10 ? 100 : 10) + 0.5)
        return value < 10 ? "\(scaled / 100).\(scaled % 100 < 10 ? "0" : "")\(scaled % 100)" : "\(scaled / 10).\(scaled % 10)"
    }
}
