import FoundationEssentials

/// Why a core cannot start yet, in words for people.
public struct StartProblem: Error, Equatable, CustomStringConvertible {
    public var problem: String
    public var remedy: String

    public init(_ problem: String, remedy: String) {
        self.problem = problem
        self.remedy = remedy
    }

    public var description: String { "\(problem). \(remedy)" }
}

/// A PEM file that the spec names.
public enum PEMFile {
    /// - Parameter field: of the spec, for people.
    /// - Throws: `StartProblem`.
    public static func read(_ path: String, for field: String) throws -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw StartProblem("\(path) of \(field) cannot be read", remedy: "Put the PEM file there, readable for this server, or change \(field)")
        }
    }
}
