import Cell
import Streams

/// Who answers where a user's partition is served.
public protocol ConnectService: AnyObject, Sendable {
    /// Tells `done` on the loop's thread.
    func ask(as credentials: Credentials, on loop: EventLoop, _ done: @escaping (Result<ConnectAnswer, any Error>) -> Void)
}

/// The connect server's answer, names as on the wire.
public struct ConnectAnswer: Codable, Equatable, Sendable {
    public var user: String
    public var partition: Int32
    /// HOST:PORT of the owner of the partition.
    public var messaging: String
    public var history: [String]
    public var tls: Bool
    public var log: String
    public var epoch: Int64
}
