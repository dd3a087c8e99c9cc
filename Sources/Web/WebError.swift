/// A server cannot start.
public struct WebError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        case portTaken
        case badAddress
        case badCertificate
        /// The system refused something else.
        case system
    }

    public var code: Code
    /// `host:port`.
    public var address: String
    public var problem: String

    public var remedy: String {
        switch code {
        case .portTaken: "Choose another port, or stop what listens there (ss -ltnp shows it)."
        case .badAddress: "Name an address of this machine, or 0.0.0.0 for all."
        case .badCertificate: "Give the certificate (chain) and its unencrypted private key as PEM."
        case .system: "Raise the limits of threads and open files (ulimit -u, ulimit -n), and see the reason."
        }
    }

    public var description: String { "\(address): \(problem). \(remedy)" }
}
