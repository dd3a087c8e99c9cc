extension Verb {
    static let help = Verb(
        name: "help", summary: "Tells what cellctl does, or what one verb does.", usage: ["help [VERB]"],
        about: "Without a verb it lists them all, with what every verb takes and the exit codes.",
        examples: [("cellctl help apply", "all about apply")],
        run: { call, terminal in
            try call.expectWords(0...1, "")
            terminal.say(call.words.isEmpty ? Manual.overview : Manual.page(of: try Verb.named(call.words[0])))
        })
}
