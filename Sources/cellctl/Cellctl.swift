import Glibc

@main
struct Cellctl {
    static func main() async {
        let terminal = Terminal.standard
        do {
            let call = try Call(parsing: Array(CommandLine.arguments.dropFirst()), among: Verb.all)
            try await call.verb.run(call, terminal)
        } catch {
            let failure = Failure(error)
            for line in failure.lines { terminal.complain(line) }
            exit(failure.code.rawValue)
        }
    }
}
