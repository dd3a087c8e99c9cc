import Cell
import Kafka

/// What the loop wants to know from elsewhere: asked here, answered by `MessagingServer.run`, so that no answer is waited for on the loop.
struct Questions: Sendable {
    enum Question: Sendable {
        case assignment
        case health(Incarnation, http: String)
        /// The ends of partitions, each for its query.
        case ends([Int32: UInt64])
        /// Where readings are to begin; nil is the first record that there is.
        case starts([Int32: UInt64], from_ms: Int64?)
        /// Whether readers are stuck.
        case watch([Int32])
        /// Why a reader failed.
        case bounds(Int32, position: Int64)
    }

    let asked: AsyncStream<Question>
    private let continuation: AsyncStream<Question>.Continuation

    init() { (asked, continuation) = AsyncStream.makeStream() }

    func ask(_ question: Question) { continuation.yield(question) }
    func close() { continuation.finish() }
}
