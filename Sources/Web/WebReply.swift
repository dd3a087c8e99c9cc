import CMicrohttpd

/// Between libmicrohttpd's requests and responses and ours.
enum WebReply {
    static func request(method: String, path: String, body: [UInt8], of connection: OpaquePointer) -> WebRequest {
        var headers: [String: String] = [:]
        for (name, value) in values(.HEADER_KIND, of: connection) {
            let name = name.lowercased()
            headers[name] = headers[name].map { "\($0), \(value)" } ?? value
        }
        let query = values(.GET_ARGUMENT_KIND, of: connection)
        return WebRequest(method: method, path: path, query: query, headers: headers, body: body)
    }

    static func header(_ name: String, of connection: OpaquePointer) -> String? {
        MHD_lookup_connection_value(connection, .HEADER_KIND, name).map { String(cString: $0) }
    }

    private static func values(_ kind: MHD_ValueKind, of connection: OpaquePointer) -> [(name: String, value: String)] {
        var found: [(name: String, value: String)] = []
        withUnsafeMutablePointer(to: &found) { found in
            _ = MHD_get_connection_values_n(
                connection, kind,
                { context, _, name, nameSize, value, valueSize in
                    let found = context?.assumingMemoryBound(to: [(name: String, value: String)].self)
                    found?.pointee.append((text(name, nameSize), text(value, valueSize)))
                    return .YES
                }, found)
        }
        return found
    }

    /// Hands the answer over; .NO, which closes the connection, when libmicrohttpd does not take it.
    static func queue(_ answer: WebResponse, of exchange: WebExchange, on connection: OpaquePointer) -> MHD_Result {
        guard let response = response(for: answer, exchange, connection) else { return .NO }
        defer { MHD_destroy_response(response) }
        for (name, value) in answer.headers where MHD_add_response_header(response, name, value) == .NO { return .NO }
        return MHD_queue_response(connection, UInt32(clamping: answer.status), response)
    }

    private static func response(for answer: WebResponse, _ exchange: WebExchange, _ connection: OpaquePointer) -> OpaquePointer? {
        switch answer.body {
        case .bytes(var bytes):
            return bytes.withUnsafeMutableBytes { MHD_create_response_from_buffer($0.count, $0.baseAddress, .RESPMEM_MUST_COPY) }
        case .events(let feed, let first):
            let outlet = EventOutlet(feed, first: first)
            exchange.keep(outlet)
            let tap = Unmanaged.passRetained(Tap(outlet: outlet, connection: Sleeper(connection)))
            let response = MHD_create_response_from_callback(
                UInt64.max, 16 * 1024,
                { context, _, buffer, size in
                    guard let context, let buffer else { return Int(MHD_CONTENT_READER_END_WITH_ERROR) }
                    let tap = Unmanaged<Tap>.fromOpaque(context).takeUnretainedValue()
                    return tap.outlet.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: size), connection: tap.connection)
                }, tap.toOpaque(),
                { context in
                    guard let context else { return }
                    Unmanaged<Tap>.fromOpaque(context).takeRetainedValue().outlet.forget()
                })
            if response == nil { tap.release() }
            return response
        }
    }

    /// What the reader of a stream of events needs.
    private final class Tap: Sendable {
        let outlet: EventOutlet
        let connection: Sleeper

        init(outlet: EventOutlet, connection: Sleeper) {
            self.outlet = outlet
            self.connection = connection
        }
    }
}

private func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
    String(decoding: UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count), as: UTF8.self)
}
