import COpenSSL
import Glibc
import Synchronization

/// A server's certificate and key, loaded again when their files change. Sessions that are open go on with the old ones.
public final class TLSServerContext: Sendable {
    public let certificate: String
    public let key: String
    private let protocols: [String]
    private let current: Mutex<Loaded>

    private struct Loaded: Sendable {
        var context: TLSContext
        var seen: [FileStamp]
    }

    /// - Parameters:
    ///   - certificate: a PEM file with the certificate, then those that it depends on.
    ///   - key: a PEM file with its key.
    ///   - protocols: what ALPN may choose; a client that offers none of them is turned away. Empty: ALPN is not looked at.
    /// - Throws: `badIdentity`, with the file's name.
    public init(certificate: String, key: String, protocols: [String] = ["h2"]) throws(TLSError) {
        self.certificate = certificate
        self.key = key
        self.protocols = protocols
        let seen = [FileStamp(certificate), FileStamp(key)]
        current = Mutex(Loaded(context: try TLSContext(server: certificate, key: key, protocols: protocols, tickets: nil), seen: seen))
    }

    /// What new sessions use.
    public var context: TLSContext { current.withLock { $0.context } }

    /// Loads the files again if one of them changed. Tickets given out before stay good.
    /// - Returns: whether anything was loaded.
    /// - Throws: `badIdentity`; the old ones stay in use, and the next call tries again.
    @discardableResult
    public func reloadIfChanged() throws(TLSError) -> Bool {
        let seen = [FileStamp(certificate), FileStamp(key)]
        let old = current.withLock { $0 }
        guard seen != old.seen else { return false }
        let context = try TLSContext(server: certificate, key: key, protocols: protocols, tickets: old.context.ticketKeys)
        current.withLock { $0 = Loaded(context: context, seen: seen) }
        return true
    }
}

/// What changes when a file is written or replaced.
public struct FileStamp: Equatable, Sendable {
    private var inode: UInt64 = 0
    private var size: Int64 = 0
    private var seconds = 0
    private var nanoseconds = 0

    public init(_ path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return }
        inode = UInt64(info.st_ino)
        size = Int64(info.st_size)
        seconds = info.st_mtim.tv_sec
        nanoseconds = info.st_mtim.tv_nsec
    }
}
