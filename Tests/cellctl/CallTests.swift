import Testing
@testable import cellctl

/// A command line and what it is understood as: `VERB [WORDS] option=VALUES…`, or the refusal.
struct Line: Sendable, CustomTestStringConvertible {
    let arguments: [String], expected: String
    var testDescription: String { arguments.joined(separator: " ") }
    init(_ text: String, _ expected: String) {
        arguments = text.split(separator: " ").map(String.init)
        self.expected = expected
    }
}

@Suite("the command line")
struct CallTests {
    private static func outline(_ arguments: [String]) -> String {
        do {
            let call = try Call(parsing: arguments, among: Verb.all)
            let options = (call.verb.options + Option.everywhere).filter { call.has($0) }.map { "\($0.name)=\(call.values($0).joined(separator: "+"))" }
            return ([call.verb.name] + (call.words.isEmpty ? [] : ["[\(call.words.joined(separator: ", "))]"]) + options).joined(separator: " ")
        } catch {
            return error.lines.joined()
        }
    }

    @Test(
        "is understood",
        arguments: [
            Line("", "help"), Line("--help", "help"), Line("apply --help", "help [apply]"), Line("help apply", "help [apply]"), Line("--version", "version"),
            Line("apply -f a.yaml", "apply filename=a.yaml"), Line("apply -fa.yaml", "apply filename=a.yaml"), Line("apply -f=a.yaml", "apply filename=a.yaml"),
            Line("apply --filename a.yaml --filename=b.yaml", "apply filename=a.yaml+b.yaml"), Line("apply -", "apply [-]"), Line("apply a b", "apply [a, b]"),
            Line("apply -- -x --wait", "apply [-x, --wait]"), Line("--redis h:1 apply -f a", "apply filename=a redis=h:1"),
            Line("apply -f a --wait", "apply filename=a wait="), Line("apply --wait=90s -f a", "apply filename=a wait=90s"),
            Line("apply --wait -f a", "apply filename=a wait="),
            Line("get servers -wo json", "get [servers] output=json watch="), Line("get servers -ojson -c eu-1", "get [servers] output=json cell=eu-1"),
            Line("scale messaging=4 standbys=1", "scale [messaging=4, standbys=1]"),
        ])
    func understood(_ line: Line) { #expect(Self.outline(line.arguments) == line.expected) }

    @Test(
        "is refused, with what to do",
        arguments: [
            Line("aply -f a", "cellctl: \"aply\" is no verb. Did you mean apply?"),
            Line("frobnicate", "cellctl: \"frobnicate\" is no verb. cellctl help lists them all"),
            Line("apply --wiat", "cellctl: \"--wiat\" is no option of apply. Did you mean --wait?"),
            Line("apply -q", "cellctl: \"-q\" is no option of apply. cellctl help apply lists them"),
            Line("--watch get", "cellctl: \"--watch\" is no option before the verb. Write the verb first: cellctl VERB --watch"),
            Line("apply -f", "cellctl: -f needs a value. Write -f FILE"),
            Line("apply --filename=", "cellctl: --filename has an empty value. Write --filename FILE"),
            Line("apply --dry-run=yes", "cellctl: --dry-run takes no value. Write --dry-run alone"),
            Line("apply --wait=", "cellctl: --wait= has no value. Write --wait, or --wait=VALUE"),
        ])
    func refused(_ line: Line) { #expect(Self.outline(line.arguments) == line.expected) }

    @Test("--wait's value is a duration")
    func waits() throws {
        func limit(_ text: String) throws -> Duration? { try Call(parsing: ["apply", text], among: Verb.all).waitLimit() }
        #expect(try limit("x") == nil)
        #expect(try limit("--wait") == .seconds(300))
        #expect(try limit("--wait=1.5s") == .milliseconds(1_500))
        #expect(throws: Failure(.usage, "--wait=soon is no duration", remedy: "Write it like --wait=90s or --wait=5m")) { try limit("--wait=soon") }
    }

    @Test("every verb has a page, in lines of at most 100 characters", arguments: Verb.all.map(\.name))
    func pages(_ name: String) throws {
        let page = Manual.page(of: try Verb.named(name))
        #expect(page.contains("Usage:\n  cellctl \(name)"))
        for line in page.split(separator: "\n") where !line.contains("cellctl \(name)") { #expect(line.count <= 100, "\(line)") }
        #expect(Manual.overview.contains("\n  \(name) "))
    }

    @Test("no two options of a verb share a name or a letter", arguments: Verb.all.map(\.name))
    func options(_ name: String) throws {
        let options = try Verb.named(name).options + Option.everywhere
        #expect(Set(options.map(\.name)).count == options.count)
        #expect(Set(options.compactMap(\.short)).count == options.compactMap(\.short).count)
    }
}
