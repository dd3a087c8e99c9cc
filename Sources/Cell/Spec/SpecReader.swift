extension CellSpec {
    /// The cell that `document` describes.
    ///
    /// Pure. Every value is judged by the schema, not by how it looks: texts stay as written, integers are decimal digits, and nothing
    /// (`key:`, `~`, `null`) means the default.
    /// - Throws: every problem of the document, in its order, each with its place and what to write; beyond 50 they are counted.
    public static func read(_ document: Node) throws(SpecProblems) -> CellSpec {
        var findings = Findings()
        var spec = CellSpec.blank
        for problem in document.duplicateKeys() { findings.add(problem) }
        if let body = document.body(&findings) {
            CellSchema.document.read(body, "", into: &spec, &findings)
            spec.fillIn()
            check(spec, document, &findings)
        }
        if let problems = findings.result { throw problems }
        return spec
    }

    /// Defaults that depend on other fields.
    private mutating func fillIn() {
        guard case .kafka(var kafka) = backplane, kafka.topic.isEmpty else { return }
        kafka.topic = "\(name)-messages"
        backplane = .kafka(kafka)
    }

    private static func check(_ spec: CellSpec, _ document: Node, _ findings: inout Findings) {
        // What was not read has its default, which is nobody's wish: no rule is to complain of it.
        let doubted = findings
        for rule in SpecRule.all where !rule.paths.contains(where: doubted.touch) {
            guard let (problem, remedy) = rule.check(spec) else { continue }
            findings.add(document.mark(at: rule.paths[0]), rule.paths[0], problem, remedy: remedy)
        }
    }
}

extension Node {
    /// The document without `apiVersion`, `kind`, the `status` that kubectl prints, and what is there only to be anchored (`x-…`); nil when it is no
    /// cell at all.
    fileprivate func body(_ findings: inout Findings) -> Node? {
        guard case .mapping(let entries, let mark) = self else {
            findings.add(self.mark, "", "the document is no mapping", remedy: "Begin it with apiVersion: \(CellSchema.apiVersion) and kind: \(CellSchema.kind)")
            return nil
        }
        let isCell = expect("kind", CellSchema.kind, &findings)
        _ = expect("apiVersion", CellSchema.apiVersion, &findings)
        guard isCell else { return nil }
        return .mapping(entries.filter { !["apiVersion", "kind", "status"].contains($0.key) && !$0.key.hasPrefix("x-") }, mark)
    }

    /// Reports a header that is not as expected. False when it says that the document describes something else.
    private func expect(_ key: String, _ value: String, _ findings: inout Findings) -> Bool {
        switch self[key] {
        case .scalar(value, _, _)?: return true
        case nil: findings.add(mark, key, "is missing", remedy: "Write \(key): \(value)")
        case let node? where node.isNothing: findings.add(node.mark, key, "has no value", remedy: "Write \(key): \(value)")
        case .scalar(let text, _, let mark)?:
            findings.add(mark, key, "is \(quoted(text)), which is not read here", remedy: "Write \(key): \(value)")
            return nearest(to: text, among: [value]) != nil
        case let node?: findings.add(node.mark, key, "is no text", remedy: "Write \(key): \(value)")
        }
        return true
    }
}
