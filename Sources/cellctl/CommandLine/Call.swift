/// A command line, understood: which verb, with what.
///
/// Pure: options may stand anywhere, also before the verb; `--` ends them; `-` alone is a word.
struct Call: Sendable {
    let verb: Verb
    /// What is neither verb nor option.
    let words: [String]
    private let options: [String: [String]]

    init(verb: Verb, words: [String] = [], options: [String: [String]] = [:]) {
        self.verb = verb
        self.words = words
        self.options = options
    }

    init(parsing arguments: [String], among verbs: [Verb]) throws(Failure) {
        var parser = Parser(arguments, verbs)
        self = try parser.call()
    }

    func has(_ option: Option) -> Bool { options[option.name] != nil }
    /// The last value given; nil also when the option came without one.
    func value(_ option: Option) -> String? { options[option.name]?.last.flatMap { $0.isEmpty ? nil : $0 } }
    func values(_ option: Option) -> [String] { options[option.name] ?? [] }

    /// Refuses more words than the verb takes.
    func expectWords(_ range: ClosedRange<Int>, _ what: String) throws(Failure) {
        guard !range.contains(words.count) else { return }
        if words.count > range.upperBound {
            throw .usage("\(verb.name) does not take \"\(words[range.upperBound])\"", remedy: "Write: cellctl \(verb.usage[0])")
        }
        throw .usage("\(verb.name) needs \(what)", remedy: "Write: cellctl \(verb.usage[0])")
    }
}

private struct Parser {
    private var rest: ArraySlice<String>
    private let verbs: [Verb]
    private var verb: Verb?
    private var words: [String] = []
    private var options: [String: [String]] = [:]

    init(_ arguments: [String], _ verbs: [Verb]) {
        rest = arguments[...]
        self.verbs = verbs
    }

    mutating func call() throws(Failure) -> Call {
        while let argument = rest.popFirst() {
            if argument == "--" {
                for word in rest { try take(word: word) }
                break
            } else if argument == "--version", verb == nil {
                try take(word: "version")
            } else if argument.hasPrefix("--") {
                try take(long: argument.dropFirst(2))
            } else if argument.hasPrefix("-"), argument.count > 1 {
                try take(short: argument.dropFirst())
            } else {
                try take(word: argument)
            }
        }
        guard let help = verbs.first(where: { $0.name == "help" }) else { preconditionFailure("no help among the verbs") }
        guard let verb else { return Call(verb: help) }
        if options[Option.help.name] != nil { return Call(verb: help, words: [verb.name]) }
        return Call(verb: verb, words: words, options: options)
    }

    private mutating func take(word: String) throws(Failure) {
        guard verb == nil else { return words.append(word) }
        guard let named = verbs.first(where: { $0.name == word }) else {
            throw .unknown("verb", word, among: verbs.map(\.name), remedy: "cellctl help lists them all")
        }
        verb = named
    }

    private mutating func take(long text: Substring) throws(Failure) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard let option = known.first(where: { $0.name == name }) else { throw unknown("--\(name)") }
        try take(option, written: "--\(name)", attached: parts.count == 2 ? String(parts[1]) : nil)
    }

    /// `-f FILE`, `-fFILE`, `-o=json`; several without values may stand together.
    private mutating func take(short text: Substring) throws(Failure) {
        var text = text
        while let letter = text.popFirst() {
            guard let option = known.first(where: { $0.short == letter }) else { throw unknown("-\(letter)") }
            guard case .none = option.value else {
                if text.first == "=" { text.removeFirst() }
                return try take(option, written: "-\(letter)", attached: text.isEmpty ? nil : String(text))
            }
            try take(option, written: "-\(letter)", attached: nil)
        }
    }

    private mutating func take(_ option: Option, written: String, attached: String?) throws(Failure) {
        var value = attached ?? ""
        switch option.value {
        case .none:
            if attached != nil { throw .usage("\(written) takes no value", remedy: "Write \(written) alone") }
        case .optional:
            if attached == "" { throw .usage("\(written)= has no value", remedy: "Write \(written), or \(written)=VALUE") }
        case .required(let what):
            if attached == nil {
                guard let next = rest.popFirst() else { throw .usage("\(written) needs a value", remedy: "Write \(written) \(what)") }
                value = next
            }
            if value.isEmpty { throw .usage("\(written) has an empty value", remedy: "Write \(written) \(what)") }
        }
        options[option.name, default: []].append(value)
    }

    private var known: [Option] { (verb?.options ?? []) + Option.everywhere }

    private func unknown(_ written: String) -> Failure {
        guard let verb else {
            return .unknown("option before the verb", written, among: known.map { "--\($0.name)" }, remedy: "Write the verb first: cellctl VERB \(written)")
        }
        return .unknown("option of \(verb.name)", written, among: known.map { "--\($0.name)" }, remedy: "cellctl help \(verb.name) lists them")
    }
}
