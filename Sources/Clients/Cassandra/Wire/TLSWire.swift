import Glibc
import TLS

/// TLS over a connected socket. Its handshake begins with the first bytes to send; those wait until it is finished.
public final class TLSWire: Wire {
    private let plain: PlainWire
    private let transport = TLSTransport()
    private let session: TLSSession
    private var isSecured = false
    /// What is to be sealed once the handshake is finished.
    private var waiting: [UInt8] = []
    /// Sealed, and not taken by the socket yet.
    private var sealed: [UInt8] = []
    private var sent = 0
    /// Read from the socket: lent to the session until it wants more.
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 16)
    private var hasInput = false
    private var hasBegun = false

    /// - Parameter serverName: what the certificate must carry, a DNS name or an address.
    public init(_ context: TLSContext, serverName: String, socket: Int32) {
        plain = PlainWire(socket: socket)
        session = TLSSession(context, transport: transport, serverName: serverName)
    }

    deinit { input.deallocate() }

    /// A socket that is full, not a handshake that waits for the node.
    public var wantsWrite: Bool { sent < sealed.count }

    /// Fills `buffer` as far as there is anything, since the socket does not tell of what the session has taken out of it.
    public func read(into buffer: UnsafeMutableRawBufferPointer) -> WireResult {
        var count = 0
        while count < buffer.count {
            if !hasInput {
                switch plain.read(into: input) {
                case .bytes(let received):
                    transport.feed(UnsafeRawBufferPointer(rebasing: input[..<received]))
                    hasInput = true
                case let other: return count > 0 ? .bytes(count) : other
                }
            }
            switch session.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...])) {
            case .bytes(let read): count += read
            case .wantsInput: hasInput = false
            case .closed: return count > 0 ? .bytes(count) : .ended
            case .failed(let error):
                _ = flush()
                return count > 0 ? .bytes(count) : .failed("\(error)")
            }
            if let failure = secure() { return .failed(failure) }
        }
        return .bytes(count)
    }

    public func write(_ bytes: UnsafeRawBufferPointer) -> WireResult {
        if !hasBegun {
            hasBegun = true
            if let error = session.handshake() { return .failed("\(error)") }
        }
        if isSecured, sent == sealed.count {
            if let error = session.write(bytes) { return .failed("\(error)") }
        } else if isSecured {
            return flush() ?? .wait
        } else {
            waiting += bytes
        }
        if let failure = flush(), case .failed = failure { return failure }
        return .bytes(bytes.count)
    }

    /// Goes on after the session has read: sends what the handshake wants, and what has waited for its end.
    private func secure() -> String? {
        if !isSecured, session.isHandshakeFinished {
            isSecured = true
            let error = waiting.withUnsafeBytes { session.write($0) }
            waiting = []
            if let error { return "\(error)" }
        }
        if case .failed(let why)? = flush() { return why }
        return nil
    }

    /// Sends what is sealed; nil when all of it is gone.
    private func flush() -> WireResult? {
        sealed += transport.output
        transport.clearOutput()
        while sent < sealed.count {
            let result = sealed.withUnsafeBytes { plain.write(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
            guard case .bytes(let count) = result else { return result }
            sent += count
        }
        sealed.removeAll(keepingCapacity: sealed.count <= 1 << 18)
        sent = 0
        return nil
    }

    public func close() {
        if isSecured {
            session.close()
            _ = flush()
        }
        plain.close()
    }
}

extension CassandraConfiguration {
    /// Speaks TLS with every node, which must show a certificate for its name or address.
    ///
    /// - Parameter authorities: a PEM file with who signed the nodes' certificates; the system's authorities when nil.
    /// - Throws: `TLSError` when the file cannot be used.
    public mutating func useTLS(authorities: String?) throws(TLSError) {
        let context = try TLSContext(authorities: authorities, protocols: [])
        wire = { socket, endpoint in TLSWire(context, serverName: endpoint.host, socket: socket) }
    }
}
