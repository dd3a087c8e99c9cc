import Testing

@testable import Redis

@Suite("Redis errors")
struct RedisErrorTests {
    struct Reply: Sendable, CustomTestStringConvertible {
        var text: String
        var script = false
        var code: RedisError.Code
        var testDescription: String { text }
    }

    @Test(
        "a reply's code is told",
        arguments: [
            Reply(text: "NOAUTH Authentication required.", code: .noAuth),
            Reply(text: "READONLY You can't write against a read only replica.", code: .readOnly),
            Reply(text: "READONLY You can't write against a read only replica. script: 12ab, on @user_script:1.", script: true, code: .readOnly),
            Reply(
                text: "ERR Error running script (call to f_12ab): @user_script:3: @user_script: 3: -READONLY You can't write against a read only replica.",
                script: true, code: .readOnly),
            Reply(text: "ERR Error running script: @user_script:3: -OOM command not allowed when used memory > 'maxmemory'.", script: true, code: .outOfMemory),
            Reply(text: "TERM 7 is older than 8", script: true, code: .script("TERM")),
            Reply(text: "TERM 7 is older than 8", code: .other("TERM")),
            Reply(text: "ERR syntax error", script: true, code: .other("ERR")),
            Reply(text: "something: -READONLY else", code: .other("ERR")),
            Reply(text: "", code: .other("ERR")),
        ])
    func reply(_ example: Reply) {
        #expect(RedisError(reply: example.text, at: nil, script: example.script).code == example.code)
    }

    @Test("each kind has its own remedy")
    func remedies() {
        let codes: [RedisError.Code] = [
            .refused, .unknownHost, .lost, .timeout, .garbled, .badAddress, .overloaded, .closed, .local, .noAuth, .wrongPass, .noPerm, .loading, .readOnly,
            .outOfMemory, .busy, .wrongType, .cannotPersist, .noScript, .script("TERM"), .other("ERR"),
        ]
        #expect(Set(codes.map(\.remedy)).count == codes.count)
    }
}
