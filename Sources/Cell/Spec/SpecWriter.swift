extension CellSpec {
    /// The whole cell with every default, as a document that `read` reads back equal.
    public var json: JSON {
        guard case .object(var members) = CellSchema.document.write(self) else { return .null }
        members["apiVersion"] = .text(CellSchema.apiVersion)
        members["kind"] = .text(CellSchema.kind)
        return .object(members)
    }

    /// Of that document, where the servers run.
    public var runJSON: JSON { CellSchema.run.write(run) }

    /// Equal cells give equal texts: keys are sorted and no default is left out.
    public var canonicalJSON: String { json.description }
}
