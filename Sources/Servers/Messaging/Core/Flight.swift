import Cell

/// A Send that was taken and is not decided yet.
///
///     towardReceiver ──report──▶ towardSender ──report──▶ Ack
///                   └───────── one partition for both ───▶
final class Flight {
    enum Stage { case towardReceiver, towardSender }

    let id: MessageID
    let sender: UserID
    let receiver: UserID
    let body: [UInt8]
    var stage = Stage.towardReceiver
    var ticket: Ticket = 0
    /// Flights of one sender were taken in this order.
    let order: Ticket
    /// When it was taken; monotonic.
    let taken_ms: Int64
    /// When the record under way was produced, Unix milliseconds.
    var produced_ms: Int64 = 0
    /// What was seen of its partition at that time.
    var seen: Int64 = -1
    /// The streams that wait for the answer.
    var waiters: [StreamID]
    /// When the waiters are told UNKNOWN_OUTCOME; monotonic. Nil: they were.
    var late_ms: Int64?

    init(id: MessageID, sender: UserID, receiver: UserID, body: [UInt8], order: Ticket, taken_ms: Int64, waiter: StreamID) {
        self.id = id
        self.sender = sender
        self.receiver = receiver
        self.body = body
        self.order = order
        self.taken_ms = taken_ms
        waiters = [waiter]
    }

    func record(at wall_ms: Int64) -> [UInt8] {
        Record.message(LoggedMessage(id: id, sender: sender, receiver: receiver, produced_ms: wall_ms, body: body)).bytes
    }

    var cost_bytes: Int { body.count + 256 }
}
