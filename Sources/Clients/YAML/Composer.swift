import Cell

/// Builds nodes from events: expands aliases, resolves merge keys, and keeps to the limits.
final class Composer {
    private let events: EventReader
    private let limits: YAMLLimits
    private var anchors: [String: Anchored] = [:]
    /// Anchors whose node has not ended yet, with their places: an alias to one of them would be part of itself.
    private var open: [String: Mark] = [:]
    private var nodes = 0

    fileprivate struct Anchored {
        var node: Node, count: Int, depth: Int
    }

    init(_ events: EventReader, _ limits: YAMLLimits) {
        self.events = events
        self.limits = limits
    }

    func documents() throws(SpecProblem) -> [Node] {
        var documents: [Node] = []
        while true {
            switch try events.next().event {
            case .document:
                anchors = [:]
                let node = try self.node(try events.next(), depth: 0).node
                _ = try events.next()
                if !node.isNothing { documents.append(node) }
            case .end: return documents
            default: continue
            }
        }
    }

    /// The node that `first` begins, how many nodes it consists of and how deep they lie.
    private func node(_ first: (event: Event, mark: Mark), depth: Int) throws(SpecProblem) -> Anchored {
        try spend(1, depth: depth, at: first.mark)
        switch first.event {
        case .scalar(let text, let plain, let anchor):
            return keep(Anchored(node: .scalar(text, plain: plain, first.mark), count: 1, depth: 0), anchor)
        case .sequence(let anchor):
            if let anchor { open[anchor] = first.mark }
            return keep(try sequence(at: first.mark, depth: depth), anchor)
        case .mapping(let anchor):
            if let anchor { open[anchor] = first.mark }
            return keep(try mapping(at: first.mark, depth: depth), anchor)
        case .alias(let name): return try target(of: name, at: first.mark, depth: depth)
        default: return Anchored(node: .scalar("", plain: true, first.mark), count: 1, depth: 0)
        }
    }

    private func sequence(at mark: Mark, depth: Int) throws(SpecProblem) -> Anchored {
        var elements: [Node] = []
        var whole = Anchored(node: .sequence([], mark), count: 1, depth: 0)
        while case let next = try events.next(), !next.event.isClose {
            let element = try node(next, depth: depth + 1)
            whole.add(element)
            elements.append(element.node)
        }
        whole.node = .sequence(elements, mark)
        return whole
    }

    private func mapping(at mark: Mark, depth: Int) throws(SpecProblem) -> Anchored {
        var entries: [Node.Entry] = []
        var merge: (mark: Mark, sources: [Node.Entry])?
        var whole = Anchored(node: .mapping([], mark), count: 1, depth: 0)
        while case let next = try events.next(), !next.event.isClose {
            let (key, plain) = try self.key(try node(next, depth: depth + 1).node, at: next.mark)
            let value = try node(try events.next(), depth: depth + 1)
            whole.add(value)
            guard key == "<<", plain else {
                entries.append(Node.Entry(key: key, keyMark: next.mark, value: value.node))
                continue
            }
            if let merge {
                throw SpecProblem(
                    next.mark, "", "<< is written twice, first at line \(merge.mark.line) column \(merge.mark.column)", remedy: "Write <<: [*a, *b]")
            }
            merge = (next.mark, try mergedEntries(value.node))
        }
        whole.node = .mapping(entries + Self.missing(in: entries, from: merge?.sources ?? []), mark)
        return whole
    }

    private func key(_ node: Node, at mark: Mark) throws(SpecProblem) -> (String, plain: Bool) {
        if case .scalar(let text, let plain, _) = node { return (text, plain) }
        throw SpecProblem(mark, "", "a key must be a plain word", remedy: "Write NAME: VALUE")
    }

    /// Of several sources the earlier wins (https://yaml.org/type/merge.html).
    private func mergedEntries(_ value: Node) throws(SpecProblem) -> [Node.Entry] {
        switch value {
        case .mapping(let entries, _): return entries
        case .sequence(let sources, _):
            var result: [Node.Entry] = []
            for source in sources {
                guard case .mapping(let entries, _) = source else { throw noMapping(source.mark) }
                result += Self.missing(in: result, from: entries)
            }
            return result
        case .scalar(_, _, let mark): throw noMapping(mark)
        }
    }

    private func noMapping(_ mark: Mark) -> SpecProblem {
        SpecProblem(mark, "", "<< merges mappings, and this is none", remedy: "Write <<: *NAME of a mapping, or write the keys out")
    }

    private static func missing(in entries: [Node.Entry], from sources: [Node.Entry]) -> [Node.Entry] {
        guard !sources.isEmpty else { return [] }
        let present = Set(entries.map(\.key))
        return sources.filter { !present.contains($0.key) }
    }

    private func target(of name: String, at mark: Mark, depth: Int) throws(SpecProblem) -> Anchored {
        if let begin = open[name] {
            throw SpecProblem(mark, "", "*\(name) stands inside &\(name) of line \(begin.line): it would contain itself", remedy: "Write the value out")
        }
        guard let anchored = anchors[name] else {
            throw SpecProblem(
                mark, "", "*\(name) names no anchor above it in this document", remedy: "Write &\(name) before the value that is meant, or the value itself")
        }
        try spend(anchored.count, depth: depth + anchored.depth, at: mark)
        return anchored
    }

    private func keep(_ anchored: Anchored, _ anchor: String?) -> Anchored {
        guard let anchor else { return anchored }
        open[anchor] = nil
        anchors[anchor] = anchored
        return anchored
    }

    private func spend(_ count: Int, depth: Int, at mark: Mark) throws(SpecProblem) {
        guard depth <= limits.depth else {
            throw SpecProblem(mark, "", "values lie in each other deeper than \(limits.depth) levels", remedy: "Write it flat: a cell needs a few levels")
        }
        nodes += count
        guard nodes <= limits.nodes else {
            throw SpecProblem(
                mark, "", "there are more than \(limits.nodes) values up to here, aliases expanded", remedy: "Write the cell out; it has some dozens of values")
        }
    }
}

extension Composer.Anchored {
    fileprivate mutating func add(_ part: Composer.Anchored) {
        count += part.count
        depth = max(depth, part.depth + 1)
    }
}

extension Event {
    fileprivate var isClose: Bool { if case .close = self { true } else { false } }
}
