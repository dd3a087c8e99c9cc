/// One thing that cellctl does: everything that parsing, help and completion know of it, and what it does. One file each in `Verbs/`.
struct Verb: Sendable {
    let name: String
    /// One line, for the list of verbs.
    let summary: String
    /// Ways to write it, without `cellctl`.
    let usage: [String]
    /// What it does, in paragraphs.
    let about: String
    /// Words that may follow, for completion.
    var words: [String] = []
    var options: [Option] = []
    /// Commands and what they do.
    var examples: [(command: String, about: String)] = []
    let run: @Sendable (Call, Terminal) async throws -> Void

    /// Every verb, in the order of help.
    static let all: [Verb] = [
        .apply, .plan, .get, .describe, .status, .scale, .set, .drain, .uncordon, .move, .rollout, .delete, .uninstall, .explain, .dev, .chat, .bench,
        .simulate, .tour, .version, .completion, .help,
    ]

    static func named(_ name: String) throws(Failure) -> Verb {
        if let verb = all.first(where: { $0.name == name }) { return verb }
        throw .unknown("verb", name, among: all.map(\.name), remedy: "cellctl help lists them all")
    }
}

/// An option of a verb, written `--name`, `--name=VALUE`, `--name VALUE`, `-n VALUE`.
struct Option: Sendable {
    enum Value: Sendable {
        case none
        case required(String)
        /// Only as `--name=VALUE`; alone it means something too.
        case optional(String)
    }

    let name: String
    var short: Character?
    var value = Value.none
    let about: String
    /// What the value may be, for completion.
    var words: [String] = []

    static let redis = Option(
        name: "redis", value: .required("ADDRESS"),
        about:
            "The Redis to talk to: redis://[USER:PASSWORD@]HOST[:PORT][/DB], HOST:PORT or a socket's path. Else CELL_REDIS, else the config file, else 127.0.0.1:6379."
    )
    static let cell = Option(
        name: "cell", short: "c", value: .required("NAME"), about: "The cell that is meant. Else the config file's, else the only one there is.")
    static let help = Option(name: "help", short: "h", about: "Tells what the verb does.")
    /// What every verb takes.
    static let everywhere = [redis, cell, help]

    static let output = Option(
        name: "output", short: "o", value: .required("FORMAT"), about: "table (the default), wide, json, yaml or name.",
        words: OutputFormat.allCases.map(\.rawValue))
    static let watch = Option(name: "watch", short: "w", about: "Stays, and prints what changes until Ctrl-C.")
    static let wait = Option(
        name: "wait", value: .optional("TIMEOUT"),
        about: "Stays until it is done; after TIMEOUT (5m unless given, like --wait=90s) it gives up with exit code 5.")
}
