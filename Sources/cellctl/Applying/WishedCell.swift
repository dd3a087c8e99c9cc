import Cell
import YAML

/// A cell as a file wishes it.
struct WishedCell: Sendable {
    var spec: CellSpec
    /// Where its values are written, for problems that only Redis brings up.
    var document: Node

    /// Bytes of the largest file that is read.
    static let largestFile = YAMLLimits().bytes

    /// The cells of all files that `paths` (files, folders, `-`) mean.
    ///
    /// - Throws: every problem of every file; one of them, and no cell counts.
    static func read(_ paths: [String]) throws -> [WishedCell] {
        var cells: [WishedCell] = []
        var problems: [SpecProblem] = []
        var more = 0
        for file in try paths.flatMap({ try specFiles(at: $0) }) {
            do throws(SpecProblems) {
                cells += try self.cells(of: try bytes(of: file), file: file == "-" ? "stdin" : file)
            } catch {
                problems += error.problems
                more += error.more
            }
        }
        problems += namesakes(cells)
        guard problems.isEmpty else { throw SpecProblems(problems, more: more) }
        guard !cells.isEmpty else {
            let where_ = paths.map { $0 == "-" ? "standard input" : $0 }.joined(separator: ", ")
            throw Failure(.invalid, "nothing to apply: \(where_) has no document that is not empty", remedy: "Write a cell there; manifests/ has examples")
        }
        return cells
    }

    private static func bytes(of file: String) throws(SpecProblems) -> [UInt8] {
        do throws(UnreadableFile) {
            return try readFile(file, atMost: largestFile)
        } catch {
            throw SpecProblems([
                SpecProblem(Mark(file: file, line: 1, column: 1), "", "the file cannot be read: \(error.reason)", remedy: "Name a file that is there")
            ])
        }
    }

    /// Pure: what the text of one file says.
    static func cells(of bytes: [UInt8], file: String) throws(SpecProblems) -> [WishedCell] {
        let documents: [Node]
        do throws(SpecProblem) { documents = try YAML.documents(in: bytes, file: file) } catch { throw SpecProblems([error]) }
        var cells: [WishedCell] = []
        var problems: [SpecProblem] = []
        var more = 0
        for document in documents {
            do throws(SpecProblems) {
                cells.append(WishedCell(spec: try CellSpec.read(document), document: document))
            } catch {
                problems += error.problems
                more += error.more
            }
        }
        guard problems.isEmpty else { throw SpecProblems(problems, more: more) }
        return cells
    }

    /// Two documents for one cell: whichever came last would win in silence.
    private static func namesakes(_ cells: [WishedCell]) -> [SpecProblem] {
        var first: [CellName: Mark] = [:]
        return cells.compactMap { cell in
            let mark = cell.document.mark(at: "metadata.name")
            guard let earlier = first.updateValue(mark, forKey: cell.spec.name) else { return nil }
            return SpecProblem(mark, "metadata.name", "is \(cell.spec.name), as at \(earlier)", remedy: "Describe a cell once")
        }
    }
}
