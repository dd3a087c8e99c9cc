import Cell
import FoundationEssentials
import YAML

/// How `get` prints.
enum OutputFormat: String, CaseIterable, Sendable {
    case table, wide, json, yaml, name

    init(_ call: Call) throws(Failure) {
        let text = call.value(.output) ?? "table"
        guard let format = OutputFormat(rawValue: text) else {
            throw .unknown("output format", text, among: Self.allCases.map(\.rawValue), remedy: "Write table, wide, json, yaml or name")
        }
        self = format
    }
}

/// `value` as JSON in lines, keys sorted.
func prettyJSON(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// JSON in lines, from JSON in one.
func indentedJSON(_ node: Node, _ depth: Int = 0) -> String {
    let inner = String(repeating: "  ", count: depth + 1)
    let outer = String(repeating: "  ", count: depth)
    switch node {
    case .scalar(let text, plain: true, _): return text
    case .scalar(let text, plain: false, _): return JSON.text(text).description
    case .sequence(let nodes, _):
        return nodes.isEmpty ? "[]" : "[\n" + nodes.map { inner + indentedJSON($0, depth + 1) }.joined(separator: ",\n") + "\n\(outer)]"
    case .mapping(let entries, _):
        let members = entries.map { inner + JSON.text($0.key).description + ": " + indentedJSON($0.value, depth + 1) }
        return members.isEmpty ? "{}" : "{\n" + members.joined(separator: ",\n") + "\n\(outer)}"
    }
}
