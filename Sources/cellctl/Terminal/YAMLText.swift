import Cell

/// A node as YAML in block style. Scalars that were plain stay so; texts are quoted where a reader could take them for something else.
func yamlText(_ node: Node, indent: Int = 0) -> String {
    lines(node).map { String(repeating: " ", count: indent) + $0 }.joined(separator: "\n")
}

private func lines(_ node: Node) -> [String] {
    switch node {
    case _ where node.isFlat: [inline(node)]
    case .scalar: [inline(node)]
    case .sequence(let nodes, _): nodes.flatMap { hang("- ", lines($0)) }
    case .mapping(let entries, _):
        entries.flatMap { entry -> [String] in
            let key = quotedIfNeeded(entry.key) + ":"
            return entry.value.isFlat ? ["\(key) \(inline(entry.value))"] : [key] + lines(entry.value).map { "  " + $0 }
        }
    }
}

private func hang(_ bullet: String, _ lines: [String]) -> [String] {
    lines.enumerated().map { ($0 == 0 ? bullet : "  ") + $1 }
}

private func inline(_ node: Node) -> String {
    switch node {
    case .scalar(let text, let plain, _): plain ? (text.isEmpty ? "null" : text) : quotedIfNeeded(text)
    case .sequence: "[]"
    case .mapping: "{}"
    }
}

/// Plain only where no reader of YAML 1.1 or 1.2 sees anything but a text.
private func quotedIfNeeded(_ text: String) -> String {
    let words: Set = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"]
    let safe = text.utf8.allSatisfy { byte in
        (65...90).contains(byte) || (97...122).contains(byte) || (48...57).contains(byte) || "_-./%".utf8.contains(byte)
    }
    if isQuantity(text) { return text }
    guard let first = text.utf8.first, (65...90).contains(first) || (97...122).contains(first), safe, !words.contains(text.lowercased()) else {
        return JSON.text(text).description
    }
    return text
}

/// 500ms, 8Ki, 25%: digits and a unit that no reader takes for a number.
private func isQuantity(_ text: String) -> Bool {
    let unit = text.drop { ("0"..."9").contains(String($0)) }
    return unit.count < text.count && ["ms", "s", "m", "h", "d", "Ki", "Mi", "Gi", "Ti", "%"].contains(unit)
}

extension Node {
    /// Stands in the line of its key.
    fileprivate var isFlat: Bool {
        switch self {
        case .scalar: true
        case .sequence(let nodes, _): nodes.isEmpty
        case .mapping(let entries, _): entries.isEmpty
        }
    }
}
