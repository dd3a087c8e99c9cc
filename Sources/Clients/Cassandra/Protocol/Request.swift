/// A request's opcode and body; its stream is chosen when it is sent.
struct EncodedRequest: Sendable, Equatable {
    var opcode: Frame.Opcode
    var body: [UInt8]
}

/// How a statement is to be run.
struct StatementOptions: Sendable {
    var consistency: Consistency
    var page: PageRequest
}

enum Request {
    static let startup: EncodedRequest = {
        var writer = Writer()
        writer.stringMap([("CQL_VERSION", "3.0.0"), ("DRIVER_NAME", "cell")])
        return EncodedRequest(opcode: .startup, body: writer.bytes)
    }()

    static let options = EncodedRequest(opcode: .options, body: [])

    /// SASL PLAIN, RFC 4616.
    static func authenticate(user: String, password: String) -> EncodedRequest {
        var writer = Writer()
        writer.longBytes([0] + Array(user.utf8) + [0] + Array(password.utf8))
        return EncodedRequest(opcode: .authResponse, body: writer.bytes)
    }

    static func prepare(_ cql: String) -> EncodedRequest {
        var writer = Writer()
        writer.longString(cql)
        return EncodedRequest(opcode: .prepare, body: writer.bytes)
    }

    static func query(_ cql: String, _ values: [CQLValue], _ options: StatementOptions) -> EncodedRequest {
        var writer = Writer()
        writer.longString(cql)
        parameters(values, options, into: &writer)
        return EncodedRequest(opcode: .query, body: writer.bytes)
    }

    static func execute(_ id: [UInt8], _ values: [CQLValue], _ options: StatementOptions) -> EncodedRequest {
        var writer = Writer()
        writer.shortBytes(id)
        parameters(values, options, into: &writer)
        return EncodedRequest(opcode: .execute, body: writer.bytes)
    }

    /// An unlogged batch of prepared statements.
    static func batch(_ entries: [(id: [UInt8], values: [CQLValue])], _ consistency: Consistency) -> EncodedRequest {
        var writer = Writer()
        writer.byte(1)
        writer.short(UInt16(clamping: entries.count))
        for entry in entries {
            writer.byte(1)
            writer.shortBytes(entry.id)
            writer.short(UInt16(clamping: entry.values.count))
            for value in entry.values { value.write(into: &writer) }
        }
        writer.short(consistency.rawValue)
        writer.byte(0)
        return EncodedRequest(opcode: .batch, body: writer.bytes)
    }

    /// The result's metadata is never skipped: a layout kept from an earlier answer may be another one by now.
    private static func parameters(_ values: [CQLValue], _ options: StatementOptions, into writer: inout Writer) {
        writer.short(options.consistency.rawValue)
        let flags: UInt8 =
            (values.isEmpty ? 0 : 0x01) | (options.page.size == nil ? 0 : 0x04) | (options.page.state == nil ? 0 : 0x08)
        writer.byte(flags)
        if !values.isEmpty {
            writer.short(UInt16(clamping: values.count))
            for value in values { value.write(into: &writer) }
        }
        if let size = options.page.size { writer.int(Int32(clamping: size)) }
        if let state = options.page.state { writer.longBytes(state.bytes) }
    }
}
