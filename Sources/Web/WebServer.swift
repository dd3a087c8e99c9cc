import CMicrohttpd
import Glibc
import Synchronization
import Threads

/// A small HTTP/1.1 server for health, metrics and lookups; libmicrohttpd on epoll. It ends with ``stop(grace:)`` or its last reference.
public final class WebServer: Sendable {
    public struct Options: Sendable {
        public var threads = 1
        /// Further connections wait in the kernel's queue.
        public var connections = 1024
        /// A connection on which nothing moves for so long is closed; whole seconds.
        public var idleTimeout = Duration.seconds(30)
        /// A larger body is answered with 413.
        public var bodyLimit_bytes = 1 << 20
        /// PEM texts; both or none.
        public var certificate: String?
        public var key: String?

        public var sharing = PortSharing.none

        public init() {}
    }

    public let host: String
    /// The port it listens on, also when it was asked for 0.
    public let port: Int
    private let engine: WebEngine
    /// libmicrohttpd's own from the start.
    private let descriptor: Int32
    // Safe because it is set once, libmicrohttpd locks what it points to, and only the first to take the flag stops it.
    private nonisolated(unsafe) let daemon: OpaquePointer
    private let isStopping = Atomic(false)
    private let isEnding = Atomic(false)
    private let isShut = Atomic(false)

    /// Listens and serves from now on.
    ///
    /// - Parameters:
    ///   - host: a name or address of this machine; `0.0.0.0` and `::` mean all.
    ///   - port: 0 takes a free one.
    /// - Throws: ``WebError``.
    public convenience init(host: String = "127.0.0.1", port: Int, options: Options = Options(), routes: WebRoutes) throws(WebError) {
        try self.init(host: host, listener: try Listener.open(host: host, port: port, sharing: options.sharing), options, routes)
    }

    /// Serves where `other` listens, with options and routes of its own; each new connection goes to one of them, until `other` stops listening.
    public convenience init(beside other: WebServer, options: Options, routes: WebRoutes) throws(WebError) {
        let copy = fcntl(other.descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw WebError(code: .system, address: "\(other.host):\(other.port)", problem: String(cString: strerror(errno))) }
        try self.init(host: other.host, listener: (copy, other.port), options, routes)
    }

    private init(host: String, listener: (descriptor: Int32, port: Int), _ options: Options, _ routes: WebRoutes) throws(WebError) {
        let engine = WebEngine(routes: routes, bodyLimit: options.bodyLimit_bytes)
        var settings = cell_web_options()
        settings.listener = listener.descriptor
        settings.threads = UInt32(max(options.threads, 1))
        settings.connections = UInt32(max(options.connections, 1))
        settings.timeout_s = UInt32(clamping: max(options.idleTimeout.components.seconds, 1))
        settings.memory_bytes = 32 * 1024
        settings.completed = { _, _, slot, _ in WebEngine.completed(slot) }
        settings.log = { WebEngine.log($0, $1, $2) }
        settings.context = Unmanaged.passUnretained(engine).toOpaque()
        guard let daemon = Self.start(settings, options) else {
            close(listener.descriptor)
            let code: WebError.Code = options.certificate == nil ? .system : .badCertificate
            throw WebError(code: code, address: "\(host):\(listener.port)", problem: engine.lastWords)
        }
        self.host = host
        self.port = listener.port
        self.engine = engine
        self.daemon = daemon
        descriptor = listener.descriptor
    }

    /// One closure for everything.
    public convenience init(
        host: String = "127.0.0.1", port: Int, options: Options = Options(), handler: @escaping WebRoutes.Handler
    ) throws(WebError) {
        try self.init(host: host, port: port, options: options, routes: WebRoutes(all: .now(handler)))
    }

    deinit { shut() }

    /// Whether a request is under way.
    public var isBusy: Bool { engine.isBusy }

    /// Takes no more connections; those that are open go on.
    public func stopListening() {
        guard isStopping.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return }
        let listener = MHD_quiesce_daemon(daemon)
        if listener >= 0 { close(listener) }
    }

    /// Takes no more connections, lets requests under way end for at most `grace`, then closes what is left.
    ///
    /// Only the first call does anything; no handler may wait for it.
    public func stop(grace: Duration = .seconds(5)) async {
        stopListening()
        guard isEnding.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return }
        engine.feedsEnd()
        let deadline = ContinuousClock.now + grace
        while engine.isBusy, ContinuousClock.now < deadline, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
        await withCheckedContinuation { done in
            // Joins the server's threads, so it needs one of its own; without one the caller has to wait.
            let shut: @Sendable () -> Void = {
                self.shut()
                done.resume()
            }
            do { try OwnThread.start("web stop", shut) } catch { shut() }
        }
    }

    private func shut() {
        guard isShut.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return }
        engine.letGo()
        MHD_stop_daemon(daemon)
    }

    private static func start(_ settings: cell_web_options, _ options: Options) -> OpaquePointer? {
        var settings = settings
        guard let certificate = options.certificate else { return cell_web_start(settings, WebEngine.handle) }
        return certificate.withCString { certificate in
            (options.key ?? "").withCString { key in
                (settings.certificate, settings.key) = (certificate, key)
                return cell_web_start(settings, WebEngine.handle)
            }
        }
    }
}
