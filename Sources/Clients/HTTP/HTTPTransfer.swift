import CCurl

/// One request in libcurl's hands: the only owner of an easy handle. Lives on the client's thread.
final class HTTPTransfer {
    let exchange: HTTPExchange
    let easy: UnsafeMutableRawPointer
    private var headers: UnsafeMutablePointer<curl_slist>?
    private let words = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private var head = HTTPHead(status: 0)
    private var lastMove = ContinuousClock.now
    private var uploaded: curl_off_t = 0

    private var request: HTTPRequest { exchange.request }

    /// - Throws: ``HTTPError`` for what libcurl cannot send.
    init(_ exchange: HTTPExchange) throws(HTTPError) {
        guard let easy = curl_easy_init() else { throw HTTPError(.local, "out of memory", url: exchange.request.url) }
        self.exchange = exchange
        self.easy = easy
        words.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        try describe()
        listen()
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(headers)
        words.deallocate()
    }

    // MARK: What is asked

    private func describe() throws(HTTPError) {
        set(CURLOPT_URL, request.url)
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        set(CURLOPT_PROXY, "")
        set(CURLOPT_NOSIGNAL, 1)
        cell_curl_keep_sockets_private(easy)
        // Streams of HTTP/2 would share one connection, and a paused one would hold up the others.
        set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        set(CURLOPT_CONNECTTIMEOUT_MS, request.timeouts.connect.milliseconds)
        if let total = request.timeouts.total { set(CURLOPT_TIMEOUT_MS, total.milliseconds) }
        set(CURLOPT_TCP_KEEPALIVE, 1)
        set(CURLOPT_TCP_KEEPIDLE, 10)
        set(CURLOPT_TCP_KEEPINTVL, 5)
        try describeMethod()
        describeRoute(request.route)
    }

    private func describeMethod() throws(HTTPError) {
        if request.method == "HEAD" { set(CURLOPT_NOBODY, 1) } else { set(CURLOPT_CUSTOMREQUEST, request.method) }
        // Whoever may send a body says that there is none: some servers wait for it otherwise.
        if let body = request.body ?? (["POST", "PUT", "PATCH"].contains(request.method) ? [] : nil) {
            cell_curl_set_size(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
            (body.isEmpty ? [0] : body).withUnsafeBytes {
                _ = cell_curl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: $0.baseAddress))
            }
        }
        // Neither a wait for "100 Continue" nor a form's content type that nobody asked for.
        var lines = ["Expect:"]
        if !request.headers.contains(where: { $0.name.lowercased() == "content-type" }) { lines.append("Content-Type:") }
        lines += request.headers.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
        if let token = request.route.bearerToken { lines.append("Authorization: Bearer \(token)") }
        let isToken = { (byte: UInt8) in byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: ":") }
        guard lines.allSatisfy({ !$0.utf8.contains { $0 == 10 || $0 == 13 || $0 == 0 } }), request.method.utf8.allSatisfy(isToken),
            !request.method.isEmpty, request.headers.allSatisfy({ !$0.name.isEmpty && $0.name.utf8.allSatisfy(isToken) })
        else { throw HTTPError(.badRequest, "a method or header has characters that do not belong there", url: request.url) }
        for line in lines { headers = curl_slist_append(headers, line) }
        cell_curl_set_list(easy, CURLOPT_HTTPHEADER, headers)
    }

    private func describeRoute(_ route: HTTPRoute) {
        if let path = route.unixSocket { set(CURLOPT_UNIX_SOCKET_PATH, path) }
        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        set(route.authority, file: CURLOPT_CAINFO, text: CURLOPT_CAINFO_BLOB)
        set(route.certificate, file: CURLOPT_SSLCERT, text: CURLOPT_SSLCERT_BLOB)
        set(route.key, file: CURLOPT_SSLKEY, text: CURLOPT_SSLKEY_BLOB)
    }

    private func set(_ pem: HTTPRoute.PEM?, file: CURLoption, text: CURLoption) {
        switch pem {
        case .file(let path)?: set(file, path)
        case .text(let pem)?: Array(pem.utf8).withUnsafeBytes { _ = cell_curl_set_bytes(easy, text, $0.baseAddress, $0.count) }
        case nil: break
        }
    }

    private func set(_ option: CURLoption, _ value: String) { cell_curl_set_text(easy, option, value) }
    private func set(_ option: CURLoption, _ value: Int) { cell_curl_set_long(easy, option, value) }

    // MARK: What comes

    private func listen() {
        let me = Unmanaged.passUnretained(self).toOpaque()
        cell_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, words)
        cell_curl_set_pointer(easy, CURLOPT_HEADERDATA, me)
        cell_curl_set_pointer(easy, CURLOPT_WRITEDATA, me)
        cell_curl_set_callback(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, me in
            HTTPTransfer.from(me)?.header(UnsafeRawBufferPointer(start: bytes, count: size * count))
            return size * count
        }
        cell_curl_set_callback(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, me in
            guard let transfer = HTTPTransfer.from(me) else { return 0 }
            transfer.lastMove = .now
            return transfer.exchange.came(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : cell_curl_pause_code()
        }
    }

    private static func from(_ pointer: UnsafeMutableRawPointer?) -> HTTPTransfer? {
        pointer.map { Unmanaged<HTTPTransfer>.fromOpaque($0).takeUnretainedValue() }
    }

    private func header(_ bytes: UnsafeRawBufferPointer) {
        lastMove = .now
        let line = String(decoding: bytes, as: UTF8.self).trimmed
        if line.hasPrefix("HTTP/") {
            var status = 0
            cell_curl_get_long(easy, CURLINFO_RESPONSE_CODE, &status)
            head = HTTPHead(status: status)
        } else if line.isEmpty {
            // An interim answer (1xx) is followed by the real one.
            if head.status >= 200 { exchange.came(head) }
        } else if let colon = line.firstIndex(of: ":") {
            let name = line[..<colon].lowercased()
            let value = String(line[line.index(after: colon)...]).trimmed
            head.headers[name] = head.headers[name].map { "\($0), \(value)" } ?? value
        }
    }

    /// What libcurl's result means.
    func failure(_ code: CURLcode) -> HTTPError {
        var sent = 0
        cell_curl_get_long(easy, CURLINFO_REQUEST_SIZE, &sent)
        let words = words.pointee == 0 ? String(cString: curl_easy_strerror(code)) : String(cString: words)
        return HTTPError(code, words: words, url: request.url, wasSent: sent > 0)
    }

    // MARK: Silence

    /// When it has been idle for too long; nil while nothing limits that.
    func idleDeadline() -> ContinuousClock.Instant? {
        guard let idle = request.timeouts.idle else { return nil }
        var total: curl_off_t = 0
        cell_curl_get_size(easy, CURLINFO_SIZE_UPLOAD_T, &total)
        if total != uploaded || exchange.isPaused {
            uploaded = total
            lastMove = .now
        }
        return lastMove + idle
    }

    var idleError: HTTPError {
        var error = failure(CURLE_OPERATION_TIMEDOUT)
        error.problem = "no byte for \(request.timeouts.idle ?? .zero)"
        return error
    }
}

extension Duration {
    /// At least 1: libcurl takes 0 for "for ever".
    var milliseconds: Int {
        max(1, Int(clamping: components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000))
    }
}

extension String {
    fileprivate var trimmed: String {
        let isSpace = { (byte: UInt8) in byte == 32 || byte == 9 || byte == 10 || byte == 13 }
        let start = utf8.drop(while: isSpace)
        return String(decoding: start.reversed().drop(while: isSpace).reversed(), as: UTF8.self)
    }
}
