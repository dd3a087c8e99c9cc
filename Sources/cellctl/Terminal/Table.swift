/// Rows in aligned columns, two spaces apart, as kubectl prints them.
struct Table: Equatable, Sendable {
    var columns: [String]
    var rows: [[String]]

    /// The header and each row. A cell that is empty shows as `-`; the last column is not padded.
    func lines(header: Bool = true, widths: [Int]? = nil) -> [String] {
        let widths = widths ?? self.widths
        return ((header ? [columns] : []) + rows).map { row in
            row.enumerated().map { index, cell in
                let text = cell.isEmpty ? "-" : cell
                return index == row.count - 1 ? text : text + String(repeating: " ", count: max(0, widths[index] - text.count) + 2)
            }.joined()
        }
    }

    var widths: [Int] {
        columns.indices.map { column in ([columns] + rows).map { max(1, $0[column].count) }.max() ?? 1 }
    }
}
