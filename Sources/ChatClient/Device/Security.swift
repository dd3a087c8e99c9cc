import Streams
import TLS

/// Whether the cell's streams and history speak TLS, and whom to trust then.
public struct Security: Sendable {
    /// As the connect server says.
    public var isOn: Bool
    private let trusted: TLSContext?

    /// - Parameter trusted: the system's authorities when nil.
    public init(isOn: Bool = false, trusts trusted: TLSContext? = nil) {
        self.isOn = isOn
        self.trusted = trusted
    }

    /// - Throws: `TLSError` when the system's authorities are needed and cannot be read.
    func configuration() throws(TLSError) -> ClientConfiguration {
        var configuration = ClientConfiguration()
        if isOn { configuration.tls = if let trusted { trusted } else { try Self.system.get() } }
        return configuration
    }

    /// Read once: there are many of them.
    private static let system = Result { () throws(TLSError) in try TLSContext(authorities: nil) }
}
