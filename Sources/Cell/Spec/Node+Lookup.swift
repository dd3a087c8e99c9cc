extension Node {
    /// Written as nothing: `key:`, `key: ~` or `key: null`. It stands for the field's default.
    public var isNothing: Bool {
        guard case .scalar(let text, plain: true, _) = self else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// The value of `key`, the first one if the key is there twice.
    public subscript(key: String) -> Node? {
        guard case .mapping(let entries, _) = self else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// Where `path` (`spec.messaging.servers`) is written; if it is not, where the nearest of its parents is.
    public func mark(at path: String) -> Mark {
        var node = self
        for key in path.split(separator: ".") {
            guard let next = node[String(key)] else { break }
            node = next
        }
        return node.mark
    }

    /// A problem for each key that its mapping has already, in the order of the file.
    public func duplicateKeys(path: String = "") -> [SpecProblem] {
        switch self {
        case .scalar: return []
        case .sequence(let elements, _): return elements.enumerated().flatMap { $1.duplicateKeys(path: "\(path)[\($0)]") }
        case .mapping(let entries, _):
            var first: [String: Mark] = [:]
            var problems: [SpecProblem] = []
            for entry in entries {
                let place = path.isEmpty ? entry.key : "\(path).\(entry.key)"
                if let earlier = first[entry.key] {
                    problems.append(
                        SpecProblem(
                            entry.keyMark, place, "is written twice, first at line \(earlier.line) column \(earlier.column)", remedy: "Keep one of the two"))
                } else {
                    first[entry.key] = entry.keyMark
                    problems += entry.value.duplicateKeys(path: place)
                }
            }
            return problems
        }
    }
}
