/// Where in a file something stands; lines and columns count from 1.
public struct Mark: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var file: String, line: Int, column: Int

    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    public var description: String { "\(file):\(line):\(column)" }
    public static func < (a: Mark, b: Mark) -> Bool { (a.file, a.line, a.column) < (b.file, b.line, b.column) }
}

/// A document as it was written, before anyone knows what its values mean: scalars are text, each with its mark.
public indirect enum Node: Sendable {
    /// `plain`: written without quotes, so that an empty one or `~` may stand for nothing.
    case scalar(String, plain: Bool, Mark)
    case sequence([Node], Mark)
    /// In the order of the file; duplicate keys are kept, so that they can be reported.
    case mapping([Entry], Mark)

    public struct Entry: Sendable {
        public var key: String, keyMark: Mark, value: Node
        public init(key: String, keyMark: Mark, value: Node) {
            self.key = key
            self.keyMark = keyMark
            self.value = value
        }
    }

    public var mark: Mark {
        switch self {
        case .scalar(_, _, let mark), .sequence(_, let mark), .mapping(_, let mark): mark
        }
    }
}

/// What is wrong with a cell.yaml, in one place of it.
public struct SpecProblem: Error, Hashable, Sendable, CustomStringConvertible {
    public var mark: Mark
    /// Like `spec.messaging.servers`; empty for the document itself.
    public var path: String
    public var problem: String
    public var remedy: String

    public init(_ mark: Mark, _ path: String, _ problem: String, remedy: String) {
        self.mark = mark
        self.path = path
        self.problem = problem
        self.remedy = remedy
    }

    public var description: String { "\(mark): \(path.isEmpty ? "" : path + " ")\(problem). \(remedy)" }
}

/// Every problem of a document, in the order of the file.
public struct SpecProblems: Error, Sendable, CustomStringConvertible {
    public var problems: [SpecProblem]
    /// How many more there are that were not kept.
    public var more: Int

    public init(_ problems: [SpecProblem], more: Int = 0) {
        self.problems = problems
        self.more = more
    }

    public var description: String {
        (problems.map(\.description) + (more > 0 ? ["and \(more) more"] : [])).joined(separator: "\n")
    }
}
