/// Entries of a mapping of texts, and elements of a list.
private let mostEntries = 256

extension Shape {
    /// - Parameter count: how many elements there may be.
    static func list<Element>(of element: Shape<Element>, _ count: ClosedRange<Int> = 0...mostEntries, distinct: Bool = true) -> Shape
    where Value == [Element] {
        Shape(
            form: .list(of: element.form, count: count), example: "[\(element.example)]",
            read: { node, path, findings in
                guard case .sequence(let nodes, let mark) = node else {
                    findings.add(node.mark, path, "is no list", remedy: "Write it in brackets, like [\(element.example)]")
                    return nil
                }
                guard count.contains(nodes.count) else {
                    let problem = nodes.count < count.lowerBound ? "is empty" : "has \(nodes.count) elements"
                    findings.add(
                        mark, path, problem, remedy: "Write \(grouped(count.lowerBound)) to \(grouped(count.upperBound)) of them, like [\(element.example)]")
                    return nil
                }
                if distinct { repeated(in: nodes, path, &findings) }
                return nodes.enumerated().compactMap { element.read($1, "\(path)[\($0)]", &findings) }
            }, write: { .list($0.map(element.write)) })
    }

    private static func repeated(in nodes: [Node], _ path: String, _ findings: inout Findings) {
        var first: [String: Mark] = [:]
        for (index, node) in nodes.enumerated() {
            guard case .scalar(let text, _, let mark) = node else { continue }
            if let earlier = first[text] {
                findings.add(mark, "\(path)[\(index)]", "is there already, at line \(earlier.line) column \(earlier.column)", remedy: "Keep one of the two")
            } else {
                first[text] = mark
            }
        }
    }

    /// A mapping of texts to texts.
    ///
    /// - Parameter refuse: why a key is not allowed, and what to do instead.
    static func map(_ keys: TextForm, _ values: TextForm, refuse: @escaping @Sendable (String) -> (problem: String, remedy: String)? = { _ in nil }) -> Shape
    where Value == [String: String] {
        let value = Shape<String>.text(values)
        return Shape(
            form: .map(keys: keys, values: values), example: "{\(keys.example): \(values.example)}",
            read: { node, path, findings in
                guard case .mapping(let entries, _) = node else {
                    findings.add(node.mark, path, "is no mapping", remedy: "Write it in braces, like {\(keys.example): \(values.example)}")
                    return nil
                }
                guard entries.count <= mostEntries else {
                    findings.add(node.mark, path, "has \(entries.count) entries", remedy: "Write at most \(mostEntries)")
                    return nil
                }
                var result: [String: String] = [:]
                for entry in entries {
                    let place = "\(path).\(shown(entry.key))"
                    if !keys.accepts(entry.key) {
                        findings.add(entry.keyMark, place, "is no \(keys.what)", remedy: "Write it like \(keys.example)")
                    } else if let reason = refuse(entry.key) {
                        findings.add(entry.keyMark, place, reason.problem, remedy: reason.remedy)
                    } else if let text = value.read(entry.value, place, &findings), result[entry.key] == nil {
                        result[entry.key] = text
                    }
                }
                return result
            }, write: { .object($0.mapValues { .text($0) }) })
    }
}

extension Shape<String> {
    /// Whatever Kubernetes takes there: a value of YAML, kept as canonical JSON.
    static let anything = Shape(
        form: .anything, example: "{}",
        read: { node, path, findings in
            json(node, path, &findings)?.description
        }, write: { .canonical($0) })

    private static func json(_ node: Node, _ path: String, _ findings: inout Findings) -> JSON? {
        switch node {
        case .scalar where node.isNothing: return .null
        case .scalar(let text, plain: false, _): return .text(text)
        case .scalar("true", _, _), .scalar("false", _, _): return .flag(node.isTrue)
        case .scalar(let text, _, let mark): return plain(text, mark, path, &findings)
        case .sequence(let nodes, _):
            let values = nodes.enumerated().map { json($1, "\(path)[\($0)]", &findings) }
            return values.contains(nil) ? nil : .list(values.compactMap(\.self))
        case .mapping(let entries, _):
            var members: [String: JSON] = [:]
            for entry in entries {
                guard let value = json(entry.value, "\(path).\(shown(entry.key))", &findings) else { return nil }
                members[entry.key] = value
            }
            return .object(members)
        }
    }

    /// Without a schema nobody can say what these words are: kubectl reads them as booleans, octals or base 60.
    private static func plain(_ text: String, _ mark: Mark, _ path: String, _ findings: inout Findings) -> JSON? {
        if let value = Int(text), String(value) == text { return .integer(value) }
        let first = text.utf8.first ?? 0
        let guessed = (48...57).contains(first) || [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains(first)
        if guessed || ["yes", "no", "on", "off", "y", "n", "true", "false"].contains(text.lowercased()) {
            findings.add(
                mark, path, "is \(shown(text)), which readers of YAML take for different things",
                remedy: "Write \(quoted(text)) for the text, or a decimal integer, true or false")
            return nil
        }
        return .text(text)
    }
}

extension Shape<Bool> {
    /// Whatever stands there, nobody looks at it.
    static let unread = Shape(form: .anything, example: "{}", read: { _, _, _ in true }, write: { _ in .null })
}

extension Node {
    fileprivate var isTrue: Bool { if case .scalar("true", _, _) = self { true } else { false } }
}
