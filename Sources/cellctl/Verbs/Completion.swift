extension Verb {
    static let completion = Verb(
        name: "completion", summary: "Prints a script that completes cellctl in a shell.", usage: ["completion bash|zsh|fish"],
        about: "bash: source <(cellctl completion bash). zsh: source <(cellctl completion zsh). fish: cellctl completion fish | source.",
        words: Shell.allCases.map(\.rawValue), examples: [("source <(cellctl completion bash)", "in ~/.bashrc")],
        run: { call, terminal in
            try call.expectWords(1...1, "a shell")
            guard let shell = Shell(rawValue: call.words[0]) else {
                throw Failure.unknown("shell that is known", call.words[0], among: Shell.allCases.map(\.rawValue), remedy: "Write bash, zsh or fish")
            }
            terminal.say(shell.script(of: Verb.all))
        })
}

/// Scripts for shells, from the verbs and their options.
enum Shell: String, CaseIterable {
    case bash, zsh, fish

    func script(of verbs: [Verb]) -> String {
        switch self {
        case .bash: Self.bashScript(verbs)
        case .zsh: "autoload -U +X bashcompinit && bashcompinit\n" + Self.bashScript(verbs)
        case .fish: Self.fishScript(verbs)
        }
    }

    private static func bashScript(_ verbs: [Verb]) -> String {
        let cases = verbs.map { verb in
            let options = (verb.options + Option.everywhere).map { "--\($0.name)" }
            return "        \(verb.name)) words=\"\((verb.words + options).joined(separator: " "))\" ;;"
        }
        let values = uniqueOptions(verbs).filter { !$0.words.isEmpty }.map { option in
            "        \(option.short.map { "-\($0)|" } ?? "")--\(option.name)) words=\"\(option.words.joined(separator: " "))\" ;;"
        }
        return """
            _cellctl() {
                local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" verb="" words="" i
                for ((i = 1; i < COMP_CWORD; i++)); do
                    case "${COMP_WORDS[i]}" in
                        \(verbs.map(\.name).joined(separator: "|"))) verb="${COMP_WORDS[i]}"; break ;;
                    esac
                done
                case "$verb" in
                    "") words="\(verbs.map(\.name).joined(separator: " ")) \(Option.everywhere.map { "--\($0.name)" }.joined(separator: " "))" ;;
            \(cases.joined(separator: "\n"))
                esac
                case "$before" in
                    -f|--filename|apply) COMPREPLY=($(compgen -f -- "$word") $(compgen -W "$words" -- "$word")); return ;;
            \(values.joined(separator: "\n"))
                esac
                COMPREPLY=($(compgen -W "$words" -- "$word"))
            }
            complete -o nosort -F _cellctl cellctl
            """
    }

    private static func fishScript(_ verbs: [Verb]) -> String {
        let names = verbs.map(\.name).joined(separator: " ")
        var lines = verbs.map { "complete -c cellctl -f -n 'not __fish_seen_subcommand_from \(names)' -a \($0.name) -d \(quoted($0.summary))" }
        for verb in verbs {
            let here = "-n '__fish_seen_subcommand_from \(verb.name)'"
            if !verb.words.isEmpty { lines.append("complete -c cellctl -f \(here) -a \(quoted(verb.words.joined(separator: " ")))") }
            lines += verb.options.map { "complete -c cellctl \(here) " + fishOption($0) }
        }
        return (lines + Option.everywhere.map { "complete -c cellctl " + fishOption($0) }).joined(separator: "\n")
    }

    private static func fishOption(_ option: Option) -> String {
        var parts = ["-l \(option.name)"]
        if let short = option.short { parts.append("-s \(short)") }
        if case .required = option.value { parts.append("-r") }
        if !option.words.isEmpty { parts.append("-a \(quoted(option.words.joined(separator: " ")))") }
        return (parts + ["-d \(quoted(option.about))"]).joined(separator: " ")
    }

    private static func quoted(_ text: String) -> String { "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "\\'") + "'" }

    private static func uniqueOptions(_ verbs: [Verb]) -> [Option] {
        var seen: Set<String> = []
        return (verbs.flatMap(\.options) + Option.everywhere).filter { seen.insert($0.name).inserted }
    }
}
