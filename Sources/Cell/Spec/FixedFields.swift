/// A change that a living cell cannot make.
public struct RefusedChange: Equatable, Sendable, CustomStringConvertible {
    /// Like `spec.partitions`.
    public var path: String
    public var old: String, new: String
    public var reason: String

    public var problem: String { "is fixed: it is \(old) and cannot become \(new), since \(reason)" }
    public var remedy: String { "Write \(old), or give the cell another name" }
    public var description: String { "\(path) \(problem). \(remedy)" }
}

extension CellSpec {
    /// Which of the differences from `old` to `new` a cell that lives cannot make.
    public static func refusedChanges(from old: CellSpec, to new: CellSpec) -> [RefusedChange] {
        let (before, after) = (old.json, new.json)
        return CellSchema.fixed.compactMap { path, reason in
            let (was, becomes) = (before[path: path]?.plain, after[path: path]?.plain)
            guard was != becomes else { return nil }
            // Without the kind of backplane or store its fields have no value on one side; the kind itself is reported then.
            guard let was, let becomes else { return nil }
            return RefusedChange(path: path, old: was, new: becomes, reason: reason)
        } + changedKinds(before, after)
    }

    private static func changedKinds(_ before: JSON, _ after: JSON) -> [RefusedChange] {
        [("spec.backplane", "the messages are in the one it has"), ("spec.store", "the history is in the one it has")].compactMap { path, reason in
            guard let was = before[path: path]?.onlyKey, let becomes = after[path: path]?.onlyKey, was != becomes else { return nil }
            return RefusedChange(path: path, old: was, new: becomes, reason: reason)
        }
    }
}

extension CellSchema {
    /// Paths of the fields that cannot change, with the reason.
    static let fixed: [(path: String, reason: String)] = everyField.compactMap { parent, field in field.fixed.map { ("\(parent).\(field.name)", $0) } }
}

extension JSON {
    fileprivate var onlyKey: String? { if case .object(let members) = self { members.keys.first } else { nil } }
}
