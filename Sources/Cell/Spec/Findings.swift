/// The problems of a document as they are found; beyond `most` they are only counted.
struct Findings {
    static let most = 50

    private(set) var problems: [SpecProblem] = []
    private(set) var more = 0

    mutating func add(_ problem: SpecProblem) {
        // The same place is reached twice through aliases.
        guard !problems.contains(where: { $0.mark == problem.mark && $0.problem == problem.problem && $0.remedy == problem.remedy }) else { return }
        if problems.count < Self.most { problems.append(problem) } else { more += 1 }
    }

    mutating func add(_ mark: Mark, _ path: String, _ problem: String, remedy: String) {
        add(SpecProblem(mark, path, problem, remedy: remedy))
    }

    /// A key that no field has.
    mutating func unknown(_ entry: Node.Entry, in path: String, known: [String], elsewhere: (String) -> String?) {
        let place = path.isEmpty ? entry.key : "\(path).\(entry.key)"
        guard problems.count < Self.most else { return more += 1 }
        add(entry.keyMark, shown(place), "is not known", remedy: advice(entry.key, known, elsewhere))
    }

    private func advice(_ key: String, _ known: [String], _ elsewhere: (String) -> String?) -> String {
        if let near = nearest(to: key, among: known) { return "Did you mean \(near)?" }
        if let parent = elsewhere(key) { return "It belongs under \(parent)" }
        return known.isEmpty ? "Remove it: nothing is written here" : "Known here: \(known.joined(separator: ", "))"
    }

    /// Whether what stands at `path`, above it or below it is in doubt.
    func touch(_ path: String) -> Bool {
        problems.contains { $0.path == path || $0.path.hasPrefix(path + ".") || path.hasPrefix($0.path + ".") || $0.path.isEmpty }
    }

    var result: SpecProblems? {
        guard !problems.isEmpty else { return nil }
        return SpecProblems(problems.sorted { $0.mark < $1.mark }, more: more)
    }
}

/// `text` as it may be shown in a line.
func shown(_ text: String) -> String {
    let line = text.unicodeScalars.prefix(80).map { $0.value < 32 ? "?" : String($0) }.joined()
    return text.unicodeScalars.count > 80 ? line + "…" : line
}
