import Cell

extension CellSpec {
    /// The cell that `json` (what `canonicalJSON` wrote, or any cell.yaml of one document) describes.
    ///
    /// - Parameter source: how problems name where it comes from, like `{cell:eu-1}:spec`.
    public static func read(json: String, source: String) throws(SpecProblems) -> CellSpec {
        let documents: [Node]
        do throws(SpecProblem) { documents = try YAML.documents(in: Array(json.utf8), file: source) } catch { throw SpecProblems([error]) }
        guard documents.count == 1, let document = documents.first else {
            let mark = Mark(file: source, line: 1, column: 1)
            throw SpecProblems([SpecProblem(mark, "", "there are \(documents.count) documents instead of one cell", remedy: "Apply the cell again")])
        }
        return try read(document)
    }
}
