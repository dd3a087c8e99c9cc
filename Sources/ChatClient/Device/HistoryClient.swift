import Cell
import Streams

/// Asks a history server, on a connection that is made when it is needed. On its loop's thread only.
public final class HistoryClient {
    private let address: String
    private let security: Security
    private let loop: EventLoop
    private var connection: ClientConnection?
    private var waiting: [(Result<ClientConnection, StreamError>) -> Void] = []

    /// - Parameter address: HOST:PORT.
    public init(_ address: String, _ security: Security = Security(), on loop: EventLoop) {
        self.address = address
        self.security = security
        self.loop = loop
    }

    public func inbox(_ query: InboxQuery, as credentials: Credentials, _ done: @escaping (Result<Page, GRPCStatus.Failure>) -> Void) {
        call("Inbox", query, as: credentials, done)
    }

    public func dialog(_ query: DialogQuery, as credentials: Credentials, _ done: @escaping (Result<Page, GRPCStatus.Failure>) -> Void) {
        call("Dialog", query, as: credentials, done)
    }

    public func find(_ query: FindQuery, as credentials: Credentials, _ done: @escaping (Result<Found, GRPCStatus.Failure>) -> Void) {
        call("Find", query, as: credentials, done)
    }

    public func close() {
        connection?.close()
        connection = nil
    }

    private func call<Answer: ChatMessage>(
        _ method: String, _ query: some ChatMessage, as credentials: Credentials, _ done: @escaping (Result<Answer, GRPCStatus.Failure>) -> Void
    ) {
        connected { result in
            switch result {
            case .failure(let error): done(.failure(GRPCStatus.Failure(status: GRPCStatus(.unavailable, error.description))))
            case .success(let connection):
                connection.call("/cecochat.v1.History/\(method)", query.encode(), metadata: credentials.metadata, deadline: .seconds(10)) { answer in
                    done(answer.flatMap(Self.decode))
                }
            }
        }
    }

    private static func decode<Answer: ChatMessage>(_ bytes: [UInt8]) -> Result<Answer, GRPCStatus.Failure> {
        do throws(ProtobufError) {
            return .success(try Answer(decoding: bytes))
        } catch {
            return .failure(GRPCStatus.Failure(status: GRPCStatus(.internal, "the answer is none: \(error)")))
        }
    }

    private func connected(_ done: @escaping (Result<ClientConnection, StreamError>) -> Void) {
        if let connection, connection.state == .ready { return done(.success(connection)) }
        waiting.append(done)
        guard waiting.count == 1 else { return }
        guard let (host, port) = splitAddress(address) else { return tellAll(.failure(StreamError(.closed, "\"\(address)\" is not HOST:PORT"))) }
        let configuration: ClientConfiguration
        do { configuration = try security.configuration() } catch { return tellAll(.failure(StreamError(.tls, error.problem, remedy: error.remedy))) }
        ClientConnection.connect(host: host, port: port, configuration: configuration, on: loop) { [weak self] result in
            guard let self else { return }
            self.connection = try? result.get()
            self.tellAll(result)
        }
    }

    private func tellAll(_ result: Result<ClientConnection, StreamError>) {
        let all = waiting
        waiting = []
        for done in all { done(result) }
    }
}
