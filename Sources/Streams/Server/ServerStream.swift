/// One gRPC call that a server answers. Loop thread only.
public final class ServerStream: GRPCStream {
    /// `/package.Service/Method`, as the client sent it.
    public let path: String
    /// The time the client gives this call, counted from its beginning; nil: none.
    public let deadline: Duration?
    /// What the service keeps with this stream.
    public var context: AnyObject?
    private unowned let shard: ServerShard
    private var status: GRPCStatus?
    private var trailers: [(String, String)] = []
    private var acceptEncoding = false

    init(id: UInt32, connection: Connection, shard: ServerShard, path: String, deadline: Duration?) {
        self.path = path
        self.deadline = deadline
        self.shard = shard
        super.init(id: id, connection: connection)
        if let deadline {
            deadlineTimer = connection.state.timers.schedule(at: connection.state.now + deadline) { [unowned self] in deadlinePassed() }
        }
    }

    /// The first value of a metadata name, in lower case; nil without one. Only inside `begin`: to keep them would cost every idle stream.
    public func metadata(_ name: String) -> String? {
        guard shard.beginning === self else { return nil }
        return connection.state.fields.first(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Every value of a metadata name. Only inside `begin`.
    public func metadataValues(_ name: String) -> [String] {
        guard shard.beginning === self else { return [] }
        return connection.state.fields.all(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The bytes of a metadata name that ends in `-bin`; nil without one, or when it is no base64. Only inside `begin`.
    public func binaryMetadata(_ name: String) -> [UInt8]? {
        guard shard.beginning === self else { return nil }
        return connection.state.fields.first(name).flatMap { BinaryMetadata.decode($0) }
    }

    /// The client's address, `host:port`; empty when it is gone.
    public var peer: String { connection.channel?.peerAddress ?? "" }

    /// Sends the response's headers now, with metadata, instead of with the first message. Later calls do nothing.
    /// Names are in lower case; the values of those that end in `-bin` are base64 (`BinaryMetadata.text`).
    public func sendHeaders(_ metadata: [(String, String)] = []) {
        guard isOpen, !flags.contains(.headersSent) else { return }
        flags.insert(.headersSent)
        connection.writeHeaders(Self.block(metadata), endStream: false, on: self)
    }

    /// Ends the call with its trailers, after what is queued. A second call does nothing.
    public func finish(_ status: GRPCStatus, trailers: [(String, String)] = []) {
        guard isOpen else { return }
        flags.insert(.closing)
        self.trailers = trailers
        guard !queue.isEmpty else { return end(status, .finished) }
        self.status = status
        if let timer = deadlineTimer { connection.state.timers.cancel(timer) }
        deadlineTimer = connection.state.timers.schedule(at: connection.state.now + connection.rules.linger) { [unowned self] in
            end(GRPCStatus(.resourceExhausted, "the answer was not read in time"), .finished)
        }
    }

    // MARK: what the connection calls

    private static let plainBlock = block([])

    private static func block(_ metadata: [(String, String)]) -> [UInt8] {
        var headers = HeaderWriter()
        headers.status200()
        headers.contentType()
        for (name, value) in metadata { headers.literal(name, Array(value.utf8)) }
        return headers.block
    }

    override func openingBlock() -> [UInt8]? { Self.plainBlock }
    override func deliver(_ message: UnsafeRawBufferPointer) { shard.service.receive(message, on: self) }
    override func deliverHalfClose() { shard.service.halfClosed(self) }
    override func reportEnd(_ reason: EndReason) { shard.service.ended(self, reason) }
    override func writeEnd() { end(status ?? .ok, .finished) }

    override func receiveHeaders(_ fields: HeaderFields, endStream: Bool) {
        guard endStream else { return connection.resetStream(id, .protocolError) }
        closeRemote()
    }

    override func receiveReset(_ code: ErrorCode) { connection.remove(self, .cancelled) }

    override func refuse(_ status: GRPCStatus, acceptEncoding: Bool) {
        connection.tally.count.refusedStreams += 1
        self.acceptEncoding = acceptEncoding
        end(status, .refused(status))
    }

    override func deadlinePassed() { end(GRPCStatus(.deadlineExceeded, "the call's deadline has passed"), .deadlineExceeded) }
    override func endForDrain() { end(GRPCStatus(.unavailable, "the server is going away"), .drained) }

    /// Trailers at once, without what is still queued. A client that still sends is told to stop.
    private func end(_ status: GRPCStatus, _ reason: EndReason) {
        guard !flags.contains(.over), !connection.isOver else { return }
        var trailers = HeaderWriter()
        if !flags.contains(.headersSent) {
            trailers.status200()
            trailers.contentType()
        }
        trailers.literal("grpc-status", Array(String(status.code.rawValue).utf8))
        if !status.message.isEmpty { trailers.literal("grpc-message", StatusText.encode(status.message)) }
        if acceptEncoding { trailers.literal("grpc-accept-encoding", Array("identity".utf8)) }
        for (name, value) in self.trailers { trailers.literal(name, Array(value.utf8)) }
        connection.writeHeaders(trailers.block, endStream: true, on: self)
        if !flags.contains(.remoteClosed) { connection.output.reset(id, .none, connection.state.pool) }
        connection.remove(self, reason)
    }
}
