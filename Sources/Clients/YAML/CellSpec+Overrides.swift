import Cell

extension CellSpec {
    /// The spec as it is with `overrides`, judged like a cell.yaml that says so.
    ///
    /// - Throws: every problem that it has thus, each with the path of its field.
    public func overridden(by overrides: SettingsOverrides) throws(SpecProblems) -> CellSpec {
        guard !overrides.values.isEmpty else { return self }
        let mark = Mark(file: "the settings", line: 1, column: 1)
        let documents: [Node]
        do throws(SpecProblem) { documents = try YAML.documents(in: Array(canonicalJSON.utf8), file: mark.file) } catch { throw SpecProblems([error]) }
        guard var document = documents.first else { return self }
        for (name, value) in overrides.values.sorted(by: { $0.key < $1.key }) where SettingsOverrides.names.contains(name) {
            document = document.setting(["spec"] + name.split(separator: ".").map(String.init), to: .scalar(value, plain: true, mark))
        }
        return try CellSpec.read(document)
    }
}

extension Node {
    /// The same with `value` at `path`, whose mappings are made where they are missing.
    fileprivate func setting(_ path: [String], to value: Node) -> Node {
        guard let key = path.first else { return value }
        guard case .mapping(var entries, let mark) = self else { return Node.mapping([], mark).setting(path, to: value) }
        let rest = Array(path.dropFirst())
        if let index = entries.firstIndex(where: { $0.key == key }) {
            entries[index].value = entries[index].value.setting(rest, to: value)
        } else {
            entries.append(Entry(key: key, keyMark: mark, value: Node.mapping([], mark).setting(rest, to: value)))
        }
        return .mapping(entries, mark)
    }
}
