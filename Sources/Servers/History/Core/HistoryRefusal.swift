/// Why a query is not answered, in words for the caller.
public struct HistoryRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// The query is wrong: asking again is of no use.
        case invalid
        /// What was asked for is not to be had any more.
        case notFound
        /// Ask again later.
        case unavailable
    }

    public var code: Code
    public var problem: String
    public var remedy: String

    public init(_ code: Code, _ problem: String, remedy: String) {
        self.code = code
        self.problem = problem
        self.remedy = remedy
    }

    public var description: String { "\(problem). \(remedy)" }
}
