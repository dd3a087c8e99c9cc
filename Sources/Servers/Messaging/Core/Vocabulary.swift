import Cell

/// A client's stream as the core knows it. A number never comes back.
struct StreamID: Hashable, Comparable, Sendable, CustomStringConvertible {
    let number: UInt64
    static func < (a: StreamID, b: StreamID) -> Bool { a.number < b.number }
    var description: String { "stream \(number)" }
}

/// What time it is, told to the core with every event.
struct Now: Equatable, Sendable {
    /// For waiting: goes on steadily, from anywhere.
    var monotonic_ms: Int64
    /// For ids and records: Unix time.
    var wall_ms: Int64
}

/// How a stream ends, as `chat.proto` names it, with what to tell people.
enum StreamEnd: Equatable, Sendable {
    case unavailable(String)
    case resourceExhausted(String)
    case aborted(String)
    case outOfRange(String)
    case invalidArgument(String)
    case unauthenticated(String)
}

/// A record as a reader hands it over.
struct LogEntry: Equatable, Sendable {
    var offset: Int64
    /// LogAppendTime, Unix milliseconds. Of no meaning on the embedded backplane.
    var time_ms: Int64
    var bytes: [UInt8]
}

/// Which record a delivery report is about: never used twice. 0 is a record whose report nobody waits for.
typealias Ticket = UInt64

/// What the log said to a record.
enum LogAnswer: Equatable, Sendable {
    /// It is in the log. Nil: an idempotent retry was reported without an offset, or without LogAppendTime.
    case landed(offset: Int64?, time_ms: Int64?)
    /// It is larger than the log takes; nothing was enqueued.
    case tooLarge
}

/// Where a reading begins.
enum ReadingStart: Equatable, Sendable {
    /// At the first record whose log time is at least this, Unix milliseconds.
    case time(Int64)
    /// At the first record that there is.
    case beginning
}

/// How soon a record is handed over after the log took it.
enum ReadingPace: Equatable, Sendable {
    /// At once: clients wait for it.
    case prompt
    /// Together with others, for broker, library and this server a fraction of the work: nobody waits for it.
    case relaxed
}

/// What the core wants done. The shell does it in this order and decides nothing.
enum Action: Equatable, Sendable {
    /// `frame` is an encoded ServerFrame with gRPC's prefix. It has room beyond the client's bound; where also that is full: `overflowed`.
    case send(StreamID, frame: [UInt8])
    /// A frame that moves the client's cursor: a Message, Gap or Alive. Not taken because too much waits for this client: `fellBehind` with `next`, and
    /// no other of them is taken until `drained`, so that nothing is left out between two.
    case deliver(StreamID, frame: [UInt8], next: Int64)
    /// Answer with `drained` as soon as little waits for this client.
    case awaitDrain(StreamID)
    case finish(StreamID, StreamEnd)
    /// Answer with `reported`, in the order of the records of a partition; or with `producerLost`, and nothing more of what came before. Once one was
    /// not taken, none is until `producerReady`: a later one must not get before it.
    case produce(Partition, [UInt8], Ticket)
    /// Answer with `readingBegan`, then with `records`, until `stopReading`. `reading` tells one from an earlier one of the partition.
    case startReading(Partition, reading: UInt64, from: ReadingStart)
    case stopReading(Partition)
    /// How soon a record is to be handed over from now on, see ``ReadingPace``. A reading begins promptly.
    case pace(Partition, ReadingPace)
    /// Ask the log for this partition's end now; answer with `endAnswered`.
    case askEnd(Partition, query: UInt64)
    /// Read the assignment again; answer with `assigned` when there is one, then with `assignmentWasRead`, within 2 s also without.
    case readAssignment
    /// Ask a server for its health at this HTTP address; answer with `probed`.
    case probe(Incarnation, http: String)
    /// A Send was acknowledged so long after it was taken. For measuring only.
    case acknowledged(after_ms: Int64)
    /// What the operator waits for has changed: readiness, `warm` or `left`.
    case report
}

/// What a messaging server is, for its whole life.
struct MessagingIdentity: Sendable {
    var server: ServerID
    var incarnation: Incarnation
    /// Of the cell.
    var partitions: Int
    /// W.
    var idWindow: Duration
    /// The broker's times are constants: log time is the producing server's.
    var embedded: Bool
    /// What the descriptors allow.
    var descriptorLimit: Int

    init(server: ServerID, incarnation: Incarnation, partitions: Int, idWindow: Duration, embedded: Bool, descriptorLimit: Int = .max) {
        self.server = server
        self.incarnation = incarnation
        self.partitions = partitions
        self.idWindow = idWindow
        self.embedded = embedded
        self.descriptorLimit = descriptorLimit
    }
}
