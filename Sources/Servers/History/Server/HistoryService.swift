import Cell
import History
import Streams

/// `cecochat.v1.History` on one loop: reads a query, has it answered elsewhere, and writes the answer.
///
/// `@unchecked Sendable`: used on its loop's thread only; answers come back through `loop.execute`.
final class HistoryService: GRPCService, @unchecked Sendable {
    typealias Authenticate = @Sendable (_ authorization: String?, _ userID: String?) -> Result<UserID, CallerRefusal>

    private let loop: EventLoop
    private let desk: QueryDesk
    private let answers: HistoryAnswers
    private let authenticate: Authenticate

    init(_ loop: EventLoop, _ desk: QueryDesk, _ answers: HistoryAnswers, authenticate: @escaping Authenticate) {
        self.loop = loop
        self.desk = desk
        self.answers = answers
        self.authenticate = authenticate
    }

    func begin(_ stream: ServerStream) {
        guard let method = HistoryCall.Method(path: stream.path) else {
            return stream.finish(GRPCStatus(.unimplemented, "\(stream.path) is not served here: cecochat.v1.History has Inbox, Dialog and Find"))
        }
        switch authenticate(stream.metadata("authorization"), stream.metadata("x-user-id")) {
        case .success(let caller): stream.context = HistoryCall(caller, method)
        case .failure(.noToken(let why)), .failure(.noUser(let why)): stream.finish(GRPCStatus(.unauthenticated, why))
        }
    }

    func receive(_ message: UnsafeRawBufferPointer, on stream: ServerStream) {
        guard let call = stream.context as? HistoryCall, !call.isOver else { return }
        guard call.query == nil else { return refuse(stream, .invalidArgument, "a second query on one call. Send one") }
        do {
            call.query = try HistoryCall.Query(call.method, message)
        } catch {
            refuse(stream, .invalidArgument, "the \(call.method.rawValue) query cannot be read: \(error)")
        }
    }

    func halfClosed(_ stream: ServerStream) {
        guard let call = stream.context as? HistoryCall, !call.isOver else { return }
        guard let query = call.query else { return refuse(stream, .invalidArgument, "the call ended without a query") }
        let (caller, reply) = (call.caller, Reply(stream, loop))
        let taken = desk.take { [answers] in
            let answer = await answers.answer(query, of: caller)
            reply.send(answer)
        }
        if !taken { refuse(stream, .unavailable, "this server has too many queries at once. Ask again in a second") }
    }

    func ended(_ stream: ServerStream, _ reason: EndReason) { (stream.context as? HistoryCall)?.isOver = true }

    private func refuse(_ stream: ServerStream, _ code: GRPCCode, _ text: String) {
        (stream.context as? HistoryCall)?.isOver = true
        stream.finish(GRPCStatus(code, text))
    }
}

/// Brings an answer back to its stream's loop.
///
/// `@unchecked Sendable`: the stream is touched on its loop's thread only.
private final class Reply: @unchecked Sendable {
    private let stream: ServerStream
    private let loop: EventLoop

    init(_ stream: ServerStream, _ loop: EventLoop) {
        self.stream = stream
        self.loop = loop
    }

    func send(_ answer: Result<[UInt8], HistoryRefusal>) {
        loop.execute { [self] in
            guard let call = stream.context as? HistoryCall, !call.isOver else { return }
            switch answer {
            case .success(let message):
                let sent = stream.send(message)
                stream.finish(sent == .overflow ? GRPCStatus(.internal, "the page is larger than this server's backlog") : .ok)
            case .failure(let refusal): stream.finish(GRPCStatus(refusal.code.status, refusal.description))
            }
        }
    }
}

extension HistoryRefusal.Code {
    var status: GRPCCode {
        switch self {
        case .invalid: .invalidArgument
        case .notFound: .notFound
        case .unavailable: .unavailable
        }
    }
}
