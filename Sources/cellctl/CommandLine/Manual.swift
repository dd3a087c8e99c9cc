/// What help prints.
enum Manual {
    static let width = 100

    static var overview: String {
        let verbs = Verb.all.map { ($0.name, $0.summary) }
        let codes = [("0", "it is done")] + Failure.Code.allCases.map { ("\($0.rawValue)", $0.about) }
        return """
            cellctl speaks with cells of chat servers through their Redis.

            Usage: cellctl VERB [WORDS] [OPTIONS]

            Verbs:
            \(aligned(verbs))

            Options of every verb:
            \(options(Option.everywhere))

            Configuration: ~/.config/cellctl/config, or the file that CELLCTL_CONFIG names, in YAML: redis, passwordFile, cell.
            NO_COLOR turns colours off.

            Exit codes:
            \(aligned(codes))

            cellctl help VERB tells more of a verb, cellctl explain spec of a cell.yaml.
            """
    }

    static func page(of verb: Verb) -> String {
        var sections = [verb.summary, "Usage:\n" + verb.usage.map { "  cellctl \($0)" }.joined(separator: "\n")]
        sections.append(verb.about.split(separator: "\n", omittingEmptySubsequences: false).map { filled(String($0), indent: 0) }.joined(separator: "\n"))
        sections.append("Options:\n" + options(verb.options + Option.everywhere))
        if !verb.examples.isEmpty { sections.append("Examples:\n" + aligned(verb.examples.map { ($0.command, $0.about) })) }
        return sections.joined(separator: "\n\n")
    }

    private static func options(_ options: [Option]) -> String { aligned(options.map { ($0.written, $0.about) }) }

    private static func aligned(_ pairs: [(String, String)]) -> String {
        let column = min(34, pairs.map(\.0.count).max() ?? 0) + 4
        return pairs.map { name, about in
            let text = filled(about, indent: column)
            let head = "  " + name
            return head.count + 2 > column
                ? head + "\n" + text : head + text.dropFirst(head.count)
        }.joined(separator: "\n")
    }

    /// `text` in lines that are no longer than `width`, each indented.
    static func filled(_ text: String, indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, margin.count + line.count + 1 + word.count > width {
                lines.append(margin + line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return (lines + [line.isEmpty && lines.isEmpty ? "" : margin + line]).joined(separator: "\n")
    }
}

extension Option {
    /// As help writes it: `-f, --filename FILE`.
    var written: String {
        let long =
            switch value {
            case .none: "--\(name)"
            case .required(let what): "--\(name) \(what)"
            case .optional(let what): "--\(name)[=\(what)]"
            }
        return (short.map { "-\($0), " } ?? "    ") + long
    }
}
