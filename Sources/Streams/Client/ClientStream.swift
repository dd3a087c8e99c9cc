/// What a client's calls tell. Every method is called on the loop's thread.
public protocol ClientStreamHandler: AnyObject {
    /// The response's headers are in: the server took the call. Not called for a call that ends without a message.
    func began(_ stream: ClientStream, metadata: Metadata)
    /// One whole message. The pointer is valid during the call only.
    func receive(_ message: UnsafeRawBufferPointer, on stream: ClientStream)
    /// The call is over; exactly once, at the end of the tick, never from inside a call of this stream's.
    /// A stream that the server did not process, a lost connection and the like are UNAVAILABLE; see `wasUnprocessed`.
    func ended(_ stream: ClientStream, _ status: GRPCStatus, trailers: Metadata)
}

extension ClientStreamHandler {
    public func began(_ stream: ClientStream, metadata: Metadata) {}
}

/// Metadata of a response, in the order it came.
public struct Metadata: Sendable, Equatable {
    public var pairs: [(name: String, value: String)]

    public init(_ pairs: [(name: String, value: String)] = []) {
        self.pairs = pairs
    }

    /// The first value of a name; nil without one.
    public subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }

    /// The bytes of a name that ends in `-bin`; nil without one, or when it is no base64.
    public func binary(_ name: String) -> [UInt8]? { self[name].flatMap { BinaryMetadata.decode($0.utf8) } }

    public static func == (a: Metadata, b: Metadata) -> Bool { a.pairs.elementsEqual(b.pairs) { $0 == $1 } }

    /// What a header block carries besides HTTP/2's and gRPC's own fields.
    init(_ fields: HeaderFields) {
        pairs = fields.fields.compactMap { field in
            let name = String(decoding: fields.name(field), as: UTF8.self)
            if name.hasPrefix(":") || ["content-type", "grpc-status", "grpc-message", "grpc-encoding", "grpc-accept-encoding"].contains(name) { return nil }
            return (name, String(decoding: fields.value(field), as: UTF8.self))
        }
    }
}

/// One gRPC call that a client makes. Loop thread only.
public final class ClientStream: GRPCStream {
    public let path: String
    /// What the caller keeps with this call.
    public var context: AnyObject?
    /// The server said that it did nothing for this call: it can be made again elsewhere.
    public private(set) var wasUnprocessed = false
    private var handler: (any ClientStreamHandler)?
    private var status = GRPCStatus(.unavailable, "the connection was lost")
    private var trailers = Metadata()

    init(id: UInt32, connection: Connection, path: String, deadline: Duration?, handler: any ClientStreamHandler) {
        self.path = path
        self.handler = handler
        super.init(id: id, connection: connection)
        flags.insert(.headersSent)
        if let deadline {
            deadlineTimer = connection.state.timers.schedule(at: connection.state.now + deadline) { [unowned self] in deadlinePassed() }
        }
    }

    /// Sends nothing more, after what is queued. A second call does nothing.
    public func halfClose() {
        guard isOpen else { return }
        flags.insert(.closing)
        if queue.isEmpty { writeEnd() }
    }

    /// Ends the call at once; the handler is told CANCELLED.
    public func cancel() {
        reset(.cancel, GRPCStatus(.cancelled, "cancelled by the client"))
    }

    // MARK: what the connection calls

    override func deliver(_ message: UnsafeRawBufferPointer) { handler?.receive(message, on: self) }

    override func writeEnd() {
        guard flags.isDisjoint(with: [.localClosed, .over]) else { return }
        connection.writeEndOfData(on: self)
    }

    override func receiveHeaders(_ fields: HeaderFields, endStream: Bool) {
        if !flags.contains(.headersReceived) {
            let code = fields.first(":status").map { String(decoding: $0, as: UTF8.self) } ?? ""
            if code.hasPrefix("1"), !endStream { return }
            flags.insert(.headersReceived)
            guard code == "200" else { return reset(.cancel, Self.status(ofHTTP: code)) }
            if let encoding = fields.first("grpc-encoding"), !encoding.elementsEqual("identity".utf8) { flags.insert(.encoded) }
            if !endStream { handler?.began(self, metadata: Metadata(fields)); return }
        } else if !endStream {
            return reset(.protocolError, GRPCStatus(.internal, "the server sent headers twice"))
        }
        finish(fields)
    }

    /// Trailers: the call's end.
    private func finish(_ fields: HeaderFields) {
        trailers = Metadata(fields)
        let number = fields.first("grpc-status").flatMap { Int(String(decoding: $0, as: UTF8.self)) }
        let text = fields.first("grpc-message").map { StatusText.decode($0) } ?? ""
        if let number {
            status = GRPCStatus(GRPCCode(rawValue: number) ?? .unknown, text)
        } else {
            status = GRPCStatus(.unknown, "the server ended the call without grpc-status")
        }
        flags.insert(.remoteClosed)
        leave()
    }

    override func deliverHalfClose() {
        // DATA with END_STREAM: a gRPC server always sends trailers.
        reset(.cancel, GRPCStatus(.internal, "the server ended the call without trailers"))
    }

    override func receiveReset(_ code: ErrorCode) {
        switch code {
        case .refusedStream:
            wasUnprocessed = true
            status = GRPCStatus(.unavailable, "the server did not take the call")
        case .cancel: status = GRPCStatus(.cancelled, "the server cancelled the call")
        case .enhanceYourCalm: status = GRPCStatus(.resourceExhausted, "the server asks for less")
        case .none where flags.contains(.remoteClosed): break
        default: status = GRPCStatus(.internal, "the server reset the stream: \(code)")
        }
        connection.remove(self, .cancelled)
    }

    override func refuse(_ status: GRPCStatus, acceptEncoding: Bool) { reset(.cancel, status) }
    override func deadlinePassed() { reset(.cancel, GRPCStatus(.deadlineExceeded, "the call's deadline has passed")) }
    override func endForDrain() { reset(.cancel, GRPCStatus(.cancelled, "the connection is closed")) }

    override func reportEnd(_ reason: EndReason) {
        let handler = handler
        self.handler = nil
        if case .refused(let refusal) = reason { status = refusal }
        handler?.ended(self, status, trailers: trailers)
    }

    private func reset(_ code: ErrorCode, _ status: GRPCStatus) {
        guard !flags.contains(.over) else { return }
        self.status = status
        connection.output.reset(id, code, connection.state.pool)
        connection.touch()
        connection.remove(self, .finished)
    }

    /// The server has answered in full; what we have not sent it does not want.
    private func leave() {
        if !flags.contains(.localClosed), !connection.isOver {
            connection.output.reset(id, .cancel, connection.state.pool)
            connection.touch()
        }
        connection.remove(self, .finished)
    }

    /// As gRPC's "HTTP to gRPC status code mapping" has it.
    private static func status(ofHTTP code: String) -> GRPCStatus {
        let mapped: GRPCCode =
            switch code {
            case "400": .internal
            case "401": .unauthenticated
            case "403": .permissionDenied
            case "404": .unimplemented
            case "429", "502", "503", "504": .unavailable
            default: .unknown
            }
        return GRPCStatus(mapped, "the server answered with HTTP status \(code.isEmpty ? "none" : code)")
    }
}
