import Cell

extension Option {
    static let markdown = Option(name: "markdown", about: "Prints the whole reference, docs/cell-yaml.md.")
    static let crd = Option(name: "crd", about: "Prints what Kubernetes has to know of a Cell, manifests/kubernetes/crd.yaml.")
}

extension Verb {
    static let explain = Verb(
        name: "explain", summary: "Tells what a field of cell.yaml means.", usage: ["explain [PATH]", "explain --markdown", "explain --crd"],
        about:
            "For a path like spec.messaging.limits: what may stand there, its default, its range, whether it may change, and the fields under it. A last part of a path is enough if only one field has it.",
        words: CellSchema.reference.map(\.path), options: [.markdown, .crd],
        examples: [
            ("cellctl explain spec.messaging", "the fields of messaging"), ("cellctl explain bodyBytes", "one field, by its name alone"),
            ("cellctl explain --crd | kubectl apply -f -", "let a cluster know Cells"),
        ],
        run: { call, terminal in
            try call.expectWords(0...1, "")
            if call.has(.markdown) { return terminal.say(String(Reference.markdown.dropLast())) }
            if call.has(.crd) { return terminal.say(String(Reference.customResourceDefinition.dropLast())) }
            terminal.say(try Explanation.text(of: call.words.first ?? ""))
        })
}

/// Pure: what the table of fields says of a path.
enum Explanation {
    static func text(of path: String) throws(Failure) -> String {
        let trimmed = path.hasPrefix("cell.") ? String(path.dropFirst(5)) : path
        guard !["", "cell", "Cell"].contains(trimmed) else { return root }
        let found = try find(trimmed)
        let info = found.info
        var facts = [("Field", found.path), ("Value", info.form.description)]
        facts.append(("Default", info.isRequired ? "none: it is required" : info.fallback ?? (info.form.fields.isEmpty ? "none" : "those of its fields")))
        if let fixed = info.fixed { facts.append(("Fixed", fixed)) }
        if info.form.fields.isEmpty { facts.append(("Example", "\(info.name): \(info.example)")) }
        let head = facts.map { "\($0):" + String(repeating: " ", count: 9 - $0.count) + $1 }.joined(separator: "\n")
        let body = Manual.filled(info.about, indent: 0)
        return [head, body, list(info.form.fields)].filter { !$0.isEmpty }.joined(separator: "\n\n")
    }

    private static var root: String {
        "A cell of chat servers: apiVersion: \(CellSchema.apiVersion), kind: \(CellSchema.kind), and\n\n"
            + list(CellSchema.fields.flatMap { [$0] + $0.form.fields })
    }

    private static func list(_ fields: [FieldInfo]) -> String {
        guard !fields.isEmpty else { return "" }
        let texts = fields.map { field in
            let notes = (field.isRequired ? ["required"] : field.fallback.map { ["default \($0)"] } ?? []) + (field.fixed == nil ? [] : ["fixed"])
            let head = "  \(field.name)  <\(field.form)>" + (notes.isEmpty ? "" : "  \(notes.joined(separator: ", "))")
            return head + "\n" + Manual.filled(field.about, indent: 6)
        }
        return "Fields:\n" + texts.joined(separator: "\n")
    }

    private static func find(_ path: String) throws(Failure) -> (path: String, info: FieldInfo) {
        let all = CellSchema.reference
        if let exact = all.first(where: { $0.path == path }) { return exact }
        let ends = all.filter { $0.path.hasSuffix(".\(path)") }
        if let only = ends.first, ends.count == 1 { return only }
        if !ends.isEmpty {
            throw .usage("several fields are called \(path)", remedy: "Write one of \(ends.map(\.path).joined(separator: ", "))")
        }
        let names = all.map(\.path) + all.map(\.info.name)
        throw .unknown("field of cell.yaml", path, among: names, remedy: "cellctl explain lists them")
    }
}
