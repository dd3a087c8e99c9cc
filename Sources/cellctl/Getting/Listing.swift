import Cell
import YAML

/// What `get` shows: rows for people, and the same items as JSON.
struct Listing: Sendable {
    /// One thing: a cell, a server, …
    struct Item: Equatable, Sendable {
        /// KIND/NAME.
        var name: String
        var cells: [String]
        /// Further columns of `-o wide`.
        var wide: [String] = []
        /// Canonical JSON.
        var json: String
    }

    var columns: [String]
    var wideColumns: [String] = []
    var items: [Item]
    /// Whether a value is good or bad news, for its colour.
    var mood: @Sendable (String) -> Terminal.Colour? = { _ in nil }

    func table(wide: Bool, of items: [Item]? = nil) -> Table {
        Table(columns: columns + (wide ? wideColumns : []), rows: (items ?? self.items).map { $0.cells + (wide ? $0.wide : []) })
    }

    /// Everything, in `format`.
    func text(_ format: OutputFormat) throws -> String {
        switch format {
        case .table, .wide: return table(wide: format == .wide).lines().joined(separator: "\n")
        case .name: return items.map(\.name).joined(separator: "\n")
        case .json:
            let texts = try items.map { "    " + indentedJSON(try $0.node, 2) }
            return texts.isEmpty ? "{\n  \"items\": []\n}" : "{\n  \"items\": [\n\(texts.joined(separator: ",\n"))\n  ]\n}"
        case .yaml:
            let texts = try items.map { "- " + yamlText(try $0.node, indent: 2).dropFirst(2) }
            return texts.isEmpty ? "items: []" : "items:\n" + texts.joined(separator: "\n")
        }
    }
}

extension Listing.Item {
    /// The item's JSON, to be written in another way.
    var node: Node {
        get throws {
            var limits = YAMLLimits()
            limits.bytes = 1 << 30
            limits.nodes = .max
            return try YAML.documents(in: Array(json.utf8), file: name, limits: limits)[0]
        }
    }
}

/// Prints a listing, and then what changes of it.
struct ListingPrinter {
    let format: OutputFormat
    let terminal: Terminal
    private var shown: [String: Listing.Item] = [:]
    private var widths: [Int] = []
    private var isFirst = true

    init(_ format: OutputFormat, _ terminal: Terminal) {
        self.format = format
        self.terminal = terminal
    }

    /// Prints all of it the first time, later the items that are new or changed.
    mutating func show(_ listing: Listing, nothing: String) throws {
        defer {
            isFirst = false
            shown = Dictionary(listing.items.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        }
        guard isFirst else { return try showChanges(listing) }
        switch format {
        case .table, .wide:
            guard !listing.items.isEmpty else { return terminal.complain(nothing) }
            tableLines(listing, listing.items, header: true)
        case .name where listing.items.isEmpty: return
        default: terminal.say(try listing.text(format))
        }
    }

    private mutating func showChanges(_ listing: Listing) throws {
        let changed = listing.items.filter { shown[$0.name] != $0 }
        let gone = shown.values.filter { old in !listing.items.contains { $0.name == old.name } }.sorted { $0.name < $1.name }
        switch format {
        case .table, .wide:
            guard !changed.isEmpty || !gone.isEmpty else { return }
            tableLines(listing, changed, header: widths.isEmpty)
            for item in gone { terminal.say("\(item.name) is gone") }
        case .name: for item in changed { terminal.say(item.name) }
        case .json: for item in changed { terminal.say(item.json) }
        case .yaml: for item in changed { terminal.say("---\n" + yamlText(try item.node)) }
        }
    }

    private mutating func tableLines(_ listing: Listing, _ items: [Listing.Item], header: Bool) {
        let table = listing.table(wide: format == .wide, of: items)
        widths = zip(table.widths, widths + Array(repeating: 0, count: max(0, table.widths.count - widths.count))).map { max($0, $1) }
        let lines = table.lines(header: header, widths: widths)
        if header { terminal.say(terminal.coloured(lines[0], .bold)) }
        for (line, row) in zip(lines.dropFirst(header ? 1 : 0), table.rows) {
            let colour = row.lazy.compactMap(listing.mood).first
            terminal.say(colour.map { terminal.coloured(line, $0) } ?? line)
        }
    }
}
