import COpenSSL

/// What the sessions of one side have in common. Immutable once made.
public final class TLSContext: @unchecked Sendable {
    // Why @unchecked: OpenSSL counts references to an SSL_CTX atomically, and nothing changes it after init.
    let pointer: OpaquePointer
    let isServer: Bool
    /// ALPN's wire form of the accepted protocols.
    private let offered: UnsafeMutableBufferPointer<UInt8>

    /// A client that trusts the authorities in the PEM file `authorities`, or the system's when it is nil.
    /// - Parameters:
    ///   - protocols: what ALPN offers.
    ///   - verifies: false: any certificate is taken. For tests only.
    /// - Throws: `badAuthorities`, with the file's name.
    public init(authorities: String?, protocols: [String] = ["h2"], verifies: Bool = true) throws(TLSError) {
        isServer = false
        offered = Self.wire(protocols)
        pointer = SSL_CTX_new(TLS_client_method())!
        configure()
        let loaded = authorities.map { SSL_CTX_load_verify_locations(pointer, $0, nil) } ?? SSL_CTX_set_default_verify_paths(pointer)
        SSL_CTX_set_verify(pointer, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
        if offered.count > 0 { SSL_CTX_set_alpn_protos(pointer, offered.baseAddress, UInt32(offered.count)) }
        guard loaded == 1 else {
            throw TLSError(
                .badAuthorities, "\(authorities ?? "the system's authorities"): \(TLSError.reason())",
                remedy: "Give a PEM file with the certificates of the authorities to trust.")
        }
    }

    init(server certificate: String, key: String, protocols: [String], tickets: [UInt8]?) throws(TLSError) {
        isServer = true
        offered = Self.wire(protocols)
        pointer = SSL_CTX_new(TLS_server_method())!
        configure()
        guard SSL_CTX_use_certificate_chain_file(pointer, certificate) == 1 else {
            throw TLSError(.badIdentity, "certificate \(certificate): \(TLSError.reason())", remedy: "Give a PEM file with the server's certificate.")
        }
        guard SSL_CTX_use_PrivateKey_file(pointer, key, SSL_FILETYPE_PEM) == 1, SSL_CTX_check_private_key(pointer) == 1 else {
            throw TLSError(.badIdentity, "key \(key): \(TLSError.reason())", remedy: "Give a PEM file with the key of \(certificate), without a password.")
        }
        // The file says which certificates to send: to look for others at every handshake costs more than to sign.
        _ = cell_ssl_ctx_mode(pointer, Int(SSL_MODE_NO_AUTO_CHAIN))
        // One ticket is enough for a client that comes back, and each costs its handshake a record.
        SSL_CTX_set_num_tickets(pointer, 1)
        if var tickets { _ = cell_ssl_ctx_set_ticket_keys(pointer, &tickets, Int32(tickets.count)) }
        if offered.count > 0 { chooseProtocol() }
    }

    deinit {
        SSL_CTX_free(pointer)
        offered.deallocate()
    }

    /// What tickets are sealed with.
    var ticketKeys: [UInt8] {
        var keys = [UInt8](repeating: 0, count: 80)
        return cell_ssl_ctx_get_ticket_keys(pointer, &keys, Int32(keys.count)) == 1 ? keys : []
    }

    private func configure() {
        _ = cell_ssl_ctx_mode(pointer, Int(SSL_MODE_RELEASE_BUFFERS) | Int(SSL_MODE_ENABLE_PARTIAL_WRITE) | Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
        _ = cell_ssl_ctx_no_session_cache(pointer)
        _ = cell_ssl_ctx_least_tls12(pointer)
        _ = cell_ssl_ctx_options(pointer)
        // The suites of TLS 1.3, those whose hash is quickest first: the library's own order costs a handshake a tenth more.
        SSL_CTX_set_ciphersuites(pointer, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256")
    }

    private func chooseProtocol() {
        // The context lives as long as its sessions, since each holds it; so does `self`, which `TLSSession` holds.
        SSL_CTX_set_alpn_select_cb(
            pointer,
            { _, chosen, length, client, clientLength, context in
                let offered = Unmanaged<TLSContext>.fromOpaque(context!).takeUnretainedValue().offered
                var found: UnsafeMutablePointer<UInt8>?
                let answer = SSL_select_next_proto(&found, length, offered.baseAddress, UInt32(offered.count), client, clientLength)
                guard answer == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                chosen?.pointee = UnsafePointer(found)
                return SSL_TLSEXT_ERR_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    private static func wire(_ protocols: [String]) -> UnsafeMutableBufferPointer<UInt8> {
        let bytes = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = buffer.initialize(from: bytes)
        return buffer
    }
}
