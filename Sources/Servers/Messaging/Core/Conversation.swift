import Cell

/// One stream of one device.
final class Conversation {
    enum Stage: Equatable {
        /// No Open yet.
        case fresh
        /// Open, and not answered yet.
        case held
        /// Opened; being given what the window holds.
        case replaying
        /// Gets records as they are read.
        case live
        /// Was told in place of Opened where to go.
        case sentAway
        case over
    }

    /// The log's end, as this Open has asked for it.
    enum AskedEnd: Equatable {
        case no
        /// The answer of this query, or a later one, is for it.
        case query(UInt64)
        case answered(Int64)
    }

    let id: StreamID
    let user: UserID
    let partition: Partition
    /// When the client's token ends, Unix milliseconds; nil: never.
    let until_ms: Int64?
    var stage = Stage.fresh
    var device = ""
    var session = ""
    var attempt: UInt32 = 0
    /// While it is held.
    var open: Open?
    var end = AskedEnd.no
    /// The assignment was read again for this Open.
    var assignmentWasRead = false
    /// It could be answered, and waits for its slice.
    var isInLine = false
    /// Until when it may be fresh, held or sent away; monotonic.
    var waitsUntil_ms: Int64 = 0
    /// While it is replayed: the next offset to hand over or to announce.
    var next: Int64 = 0
    /// How often it has taken what it was given while it was replayed, and when it did so last; monotonic.
    var drains = 0
    var tookAt_ms: Int64 = 0
    /// It is slow to take what it missed.
    var isSlow = false
    /// Since when it was live and cannot keep up; monotonic.
    var behindSince_ms: Int64?
    /// Which of the server's fallbacks it was told last.
    var fallbackTold: UInt32 = 0
    /// The round that it is in.
    var round: UInt32 = 0
    /// Ids in flight that this stream waits for.
    var unanswered: Set<MessageID> = []

    init(id: StreamID, user: UserID, partition: Partition, until_ms: Int64? = nil) {
        self.until_ms = until_ms
        self.id = id
        self.user = user
        self.partition = partition
    }

    /// Somebody who was here before, or anywhere in this cell, has a place in the log.
    var admission: Admission.Kind { (open?.cursor ?? -1) >= 0 ? .resume : .newcomer }

    var isOpened: Bool { stage == .replaying || stage == .live }

    func isSameDevice(as other: Conversation) -> Bool { user == other.user && device == other.device }
}
