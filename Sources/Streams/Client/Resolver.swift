import Dispatch

/// Looks names up, away from the loops: the system's resolver blocks.
final class Resolver: Sendable {
    static let shared = Resolver()
    private let queue = DispatchQueue(label: "resolver")

    /// - Parameter done: called on the resolver's thread.
    func resolve(_ host: String, _ port: UInt16, _ done: @escaping @Sendable (Result<Socket.Address, StreamError>) -> Void) {
        queue.async {
            do throws(StreamError) {
                done(.success(try Socket.resolve(host, port)))
            } catch {
                done(.failure(error))
            }
        }
    }
}
