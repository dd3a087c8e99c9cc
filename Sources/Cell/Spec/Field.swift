/// One key of a mapping and where its value goes in a `Root`.
struct Field<Root>: Sendable {
    let name: String
    let isRequired: Bool
    let example: String
    /// What the reference says of it; defaults are those of the given root.
    let describe: @Sendable (Root) -> FieldInfo
    let read: @Sendable (Node, _ path: String, inout Root, inout Findings) -> Void
    /// Nil when the root has no value for it.
    let write: @Sendable (Root) -> JSON?
    /// Whether the reference and problems name it.
    var isListed = true
}

extension Field {
    /// A field that always has a value: its default is the one of the root that reading starts with.
    ///
    /// - Parameters:
    ///   - otherwise: how the reference tells a default that is no constant.
    ///   - fixed: why it cannot change.
    static func field<Value>(
        _ name: String, _ key: WritableKeyPath<Root, Value> & Sendable, _ shape: Shape<Value>, required: Bool = false, otherwise: String? = nil,
        fixed: String? = nil, _ about: String
    ) -> Field {
        Field(
            name: name, isRequired: required, example: shape.example,
            describe: { root in
                let standard = required || !shape.form.fields.isEmpty ? nil : shape.write(root[keyPath: key])
                return FieldInfo(
                    name: name, form: shape.form, isRequired: required, fallback: standard.map { otherwise ?? $0.plain }, fixed: fixed, about: about,
                    example: shape.example, standard: required || otherwise != nil ? nil : standard ?? .object([:]))
            },
            read: { node, path, root, findings in
                if let value = shape.read(node, path, &findings) { root[keyPath: key] = value }
            }, write: { shape.write($0[keyPath: key]) })
    }

    /// A field that may have no value at all.
    static func optional<Value>(
        _ name: String, _ key: WritableKeyPath<Root, Value?> & Sendable, _ shape: Shape<Value>, otherwise: String? = nil, fixed: String? = nil, _ about: String
    ) -> Field {
        Field(
            name: name, isRequired: false, example: shape.example,
            describe: { _ in
                FieldInfo(name: name, form: shape.form, isRequired: false, fallback: otherwise, fixed: fixed, about: about, example: shape.example)
            },
            read: { node, path, root, findings in
                if let value = shape.read(node, path, &findings) { root[keyPath: key] = value }
            }, write: { $0[keyPath: key].map(shape.write) })
    }

    /// A mapping in the file that is none in the spec: its fields go into the same root.
    static func section(_ name: String, _ fields: [Field<Root>], _ about: String, required: Bool = true) -> Field {
        Field(
            name: name, isRequired: required, example: "{}",
            describe: { root in
                FieldInfo(
                    name: name, form: .group(fields.filter(\.isListed).map { $0.describe(root) }), isRequired: required, fallback: nil, fixed: nil,
                    about: about, example: "{}")
            },
            read: { node, path, root, findings in
                fields.read(node, path, into: &root, &findings)
            }, write: { fields.write($0) })
    }
}

extension Array {
    /// Reads a mapping into `root`. What is missing keeps the value it has there.
    func read<Root>(_ node: Node, _ path: String, into root: inout Root, _ findings: inout Findings) where Element == Field<Root> {
        guard let entries = node.entries(path, &findings) else { return }
        var present: Set<String> = []
        for entry in entries {
            guard let field = first(where: { $0.name == entry.key }) else {
                findings.unknown(entry, in: path, known: filter(\.isListed).map(\.name), elsewhere: CellSchema.parent(of:))
                continue
            }
            // Whoever writes a key twice is told so elsewhere.
            guard present.insert(entry.key).inserted else { continue }
            let place = path.isEmpty ? field.name : "\(path).\(field.name)"
            guard entry.value.isNothing else { field.read(entry.value, place, &root, &findings); continue }
            if field.isRequired { findings.add(entry.keyMark, place, "has no value", remedy: "Write \(field.name): \(field.example)") }
        }
        for field in self where field.isRequired && !present.contains(field.name) {
            findings.add(node.mark, path.isEmpty ? field.name : "\(path).\(field.name)", "is missing", remedy: "Write \(field.name): \(field.example)")
        }
    }

    func write<Root>(_ root: Root) -> JSON where Element == Field<Root> {
        .object(Dictionary(uniqueKeysWithValues: compactMap { field in field.write(root).map { (field.name, $0) } }))
    }
}

extension Shape {
    /// A mapping that is a value of its own; `blank` has its defaults.
    static func group(_ blank: Value, _ fields: [Field<Value>]) -> Shape where Value: Sendable {
        let example = "{" + fields.filter(\.isRequired).map { "\($0.name): \($0.example)" }.joined(separator: ", ") + "}"
        return Shape(
            form: .group(fields.map { $0.describe(blank) }), example: example,
            read: { node, path, findings in
                var value = blank
                fields.read(node, path, into: &value, &findings)
                return value
            }, write: { fields.write($0) })
    }

    /// A mapping with exactly one of several keys.
    static func oneOf(_ options: [Option<Value>]) -> Shape {
        let names = options.map(\.info.name)
        let example = "{\(names.last ?? ""): {}}"
        return Shape(
            form: .oneOf(options.map(\.info)), example: example,
            read: { node, path, findings in
                guard let entries = node.entries(path, &findings) else { return nil }
                let known = entries.filter { names.contains($0.key) }
                for entry in entries where !names.contains(entry.key) { findings.unknown(entry, in: path, known: names, elsewhere: { _ in nil }) }
                guard let entry = known.first, let option = options.first(where: { $0.info.name == entry.key }) else {
                    if entries.isEmpty {
                        findings.add(node.mark, path, "names none of \(names.joined(separator: ", "))", remedy: "Write one of them, like \(example)")
                    }
                    return nil
                }
                if let second = known.first(where: { $0.key != entry.key }) {
                    let first = "\(entry.key) at line \(entry.keyMark.line) column \(entry.keyMark.column)"
                    findings.add(second.keyMark, "\(path).\(second.key)", "is a second choice beside \(first)", remedy: "Keep one of the two")
                }
                return option.read(entry.value, "\(path).\(entry.key)", &findings)
            },
            write: { value in
                .object(Dictionary(uniqueKeysWithValues: options.compactMap { option in option.write(value).map { (option.info.name, $0) } }))
            })
    }
}

/// One of the keys of which a mapping has exactly one: a case of `Value`.
struct Option<Value>: Sendable {
    let info: FieldInfo
    let read: @Sendable (Node, String, inout Findings) -> Value?
    let write: @Sendable (Value) -> JSON?

    static func option<Payload>(
        _ name: String, _ shape: Shape<Payload>, _ about: String, make: @escaping @Sendable (Payload) -> Value, take: @escaping @Sendable (Value) -> Payload?
    ) -> Option {
        Option(
            info: FieldInfo(name: name, form: shape.form, isRequired: false, fallback: nil, fixed: nil, about: about, example: shape.example),
            read: { node, path, findings in shape.read(node, path, &findings).map(make) },
            write: { take($0).map(shape.write) })
    }
}

extension Node {
    /// The entries of a mapping; of nothing, none.
    fileprivate func entries(_ path: String, _ findings: inout Findings) -> [Entry]? {
        switch self {
        case .mapping(let entries, _): return entries
        case .scalar where isNothing: return []
        case .scalar(let text, _, _):
            findings.add(mark, path, "is \(quoted(text)), but a mapping is wanted", remedy: "Write the keys under it, or {} for the defaults")
        case .sequence: findings.add(mark, path, "is a list, but a mapping is wanted", remedy: "Write KEY: VALUE, or {} for the defaults")
        }
        return nil
    }
}
