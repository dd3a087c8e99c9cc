/// Which paths a server has, and who answers them.
public struct WebRoutes: Sendable {
    public typealias Handler = @Sendable (WebRequest) -> WebResponse
    public typealias AsyncHandler = @Sendable (WebRequest) async -> WebResponse

    enum Answer: Sendable {
        case now(Handler)
        case later(AsyncHandler)
    }

    private var exact: [String: [String: Answer]] = [:]
    private var below: [(prefix: String, methods: [String: Answer])] = []

    private var everything: Answer?

    public init() {}

    init(all answer: Answer) { everything = answer }

    /// Answers `method` on `path`; a path that ends in `/*` means all paths below it. `handler` must not block: it holds the server's thread.
    public mutating func on(_ method: String = "GET", _ path: String, _ handler: @escaping Handler) {
        add(method, path, .now(handler))
    }

    /// As ``on(_:_:_:)``, for what has to wait.
    public mutating func onAsync(_ method: String = "GET", _ path: String, _ handler: @escaping AsyncHandler) {
        add(method, path, .later(handler))
    }

    private mutating func add(_ method: String, _ path: String, _ answer: Answer) {
        guard path.hasSuffix("/*") else {
            exact[path, default: [:]][method] = answer
            return
        }
        let prefix = String(path.dropLast())
        if let at = below.firstIndex(where: { $0.prefix == prefix }) {
            below[at].methods[method] = answer
        } else {
            below.append((prefix, [method: answer]))
            below.sort { $0.prefix.utf8.count > $1.prefix.utf8.count }
        }
    }

    /// Who answers; 404 and 405 (with Allow) where nobody does.
    func answer(method: String, path: String) -> Answer {
        if let everything { return everything }
        guard let methods = exact[path] ?? below.first(where: { path.hasPrefix($0.prefix) })?.methods else {
            return .now { .text("Nothing is at \($0.path).\n", status: 404) }
        }
        if let answer = methods[method] { return answer }
        let allowed = (methods.keys.sorted() + (methods["GET"] == nil ? [] : ["HEAD"])).joined(separator: ", ")
        return .now { .text("\($0.path) does not take \($0.method); it takes \(allowed).\n", status: 405, headers: [("Allow", allowed)]) }
    }
}
