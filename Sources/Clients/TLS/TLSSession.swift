import COpenSSL

/// One TLS connection over a transport. Used by one thread at a time.
public final class TLSSession {
    public enum ReadOutcome: Sendable, Equatable {
        case bytes(Int)
        /// Everything fed was taken.
        case wantsInput
        /// The peer said goodbye.
        case closed
        case failed(TLSError)
    }

    private let pointer: OpaquePointer
    private let context: TLSContext
    /// Where a server is: it has not heard enough to answer, it has answered and may speak already, or it speaks after the handshake.
    private enum Answer { case open, early, late }
    private var answer = Answer.open

    /// - Parameter serverName: the name that the certificate must carry, a DNS name or an address; for clients only.
    public init(_ context: TLSContext, transport: TLSTransport, serverName: String? = nil) {
        self.context = context
        pointer = SSL_new(context.pointer)!
        BIO_up_ref(transport.bio)
        SSL_set_bio(pointer, transport.bio, transport.bio)
        if context.isServer {
            SSL_set_accept_state(pointer)
            return
        }
        SSL_set_connect_state(pointer)
        guard let serverName else { return }
        let verification = SSL_get0_param(pointer)
        if X509_VERIFY_PARAM_set1_ip_asc(verification, serverName) != 1 {
            ERR_clear_error()
            X509_VERIFY_PARAM_set1_host(verification, serverName, 0)
            _ = cell_ssl_set_server_name(pointer, serverName)
        }
    }

    deinit {
        SSL_free(pointer)
    }

    public var isHandshakeFinished: Bool { SSL_is_init_finished(pointer) == 1 }
    /// Whether `write` is possible. With TLS 1.3 a server may speak before the client's last word of the handshake, though it does not know yet that the client
    /// is there and no old record of one: what it says then is for everybody.
    public var maySpeak: Bool { answer == .early || isHandshakeFinished }
    /// Whether a ticket of an earlier session spared most of the handshake.
    public var isResumed: Bool { SSL_session_reused(pointer) == 1 }

    /// What ALPN chose; nil without.
    public var chosenProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(pointer, &name, &length)
        guard let name, length > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }

    /// Goes on with the handshake; a client begins it thus. nil: so far, so good.
    public func handshake() -> TLSError? {
        ERR_clear_error()
        let result = SSL_do_handshake(pointer)
        return result == 1 || SSL_get_error(pointer, result) == SSL_ERROR_WANT_READ ? nil : failure()
    }

    /// Reads what the peer sent, going on with the handshake on the way. Call it until it wants input.
    public func read(into target: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        ERR_clear_error()
        if context.isServer, answer == .open, let outcome = tryToAnswer() { return outcome }
        let count = SSL_read(pointer, target.baseAddress, Int32(clamping: target.count))
        return count > 0 ? .bytes(Int(count)) : outcome(of: count)
    }

    /// A server's handshake up to where it may speak; nil when it is there. No client may send data before its handshake, since that could be repeated by
    /// a stranger: OpenSSL skips it, and `nothing` stays empty.
    private func tryToAnswer() -> ReadOutcome? {
        var nothing: UInt8 = 0
        var count = 0
        guard SSL_read_early_data(pointer, &nothing, 1, &count) == SSL_READ_EARLY_DATA_FINISH else { return outcome(of: 0) }
        // A client that is asked for another key (HelloRetryRequest) has no Finished of ours yet, and there are no keys to speak with.
        answer = SSL_get_finished(pointer, nil, 0) > 0 ? .early : .late
        return nil
    }

    private func outcome(of count: Int32) -> ReadOutcome {
        switch SSL_get_error(pointer, count) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wantsInput
        case SSL_ERROR_ZERO_RETURN: return .closed
        default: return .failed(failure())
        }
    }

    /// Seals `bytes` into the transport's output; all of them, once it `maySpeak`.
    public func write(_ bytes: UnsafeRawBufferPointer) -> TLSError? {
        let isEarly = answer == .early && !isHandshakeFinished
        var rest = bytes
        while !rest.isEmpty {
            ERR_clear_error()
            var count = 0
            let result =
                isEarly ? SSL_write_early_data(pointer, rest.baseAddress, rest.count, &count) : SSL_write_ex(pointer, rest.baseAddress, rest.count, &count)
            guard result == 1 else { return failure() }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return nil
    }

    /// Says goodbye into the transport's output.
    public func close() {
        ERR_clear_error()
        SSL_shutdown(pointer)
        ERR_clear_error()
    }

    private func failure() -> TLSError {
        let verification = SSL_get_verify_result(pointer)
        let reason = TLSError.reason()
        guard !context.isServer, verification != X509_V_OK else { return TLSError(.handshake, "TLS failed: \(reason)") }
        return TLSError(
            .untrusted, "the server's certificate is not trusted: \(String(cString: X509_verify_cert_error_string(verification)))",
            remedy: "Give the authority that signed it, and the name that it carries.")
    }
}
