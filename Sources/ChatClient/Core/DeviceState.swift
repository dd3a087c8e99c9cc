import Cell

/// What one device of a user keeps between its streams, and could write to disk: `contract/chat.proto` says what each is for.
public struct DeviceState: Equatable, Sendable {
    public let user: UserID
    /// 1 to 64 bytes.
    public let device: String
    /// New at each start of the client.
    public let session: String
    /// The log that the cursor belongs to.
    public internal(set) var log: LogID?
    /// Every record of the user up to and including this offset has been received, or stands in an open gap.
    public internal(set) var cursor: Int64?
    /// Still to be read from the history.
    public internal(set) var gaps: [HistoryGap] = []
    /// In the order in which they were first sent, those never sent last.
    public internal(set) var unacknowledged: [Outgoing] = []
    /// The highest that a server has told.
    public internal(set) var epoch: Int64 = 0

    /// With no cursor the device gets only what comes from now on; with -1 all that the log holds.
    public init(user: UserID, device: String, session: String, log: LogID? = nil, cursor: Int64? = nil) {
        self.user = user
        self.device = device
        self.session = session
        self.log = log
        self.cursor = cursor
    }
}

/// A range of offsets of one log that the history has to fill: from `from` to before `to`.
public struct HistoryGap: Hashable, Sendable {
    public var log: LogID
    public var from: Int64
    public var to: Int64
}

/// A message on its way out.
public struct Outgoing: Equatable, Sendable {
    /// What the caller knows it by.
    public var token: Int
    public var receiver: UserID
    public var body: [UInt8]
    /// Stamped when it is first sent, by the server's clock.
    public var id: MessageID?
}

/// A stream of a device, as its owner numbers them.
public struct StreamKey: Hashable, Sendable {
    public let number: Int
}

/// What the device's owner is to do now, in this order.
public enum DeviceAction: Equatable, Sendable {
    /// Ask the connect server after `wait`.
    case askConnect(after: Duration)
    /// Open a stream at HOST:PORT after `wait`, and say `open` first.
    case open(StreamKey, at: String, Open, after: Duration)
    case send(StreamKey, Send)
    /// Forget the stream, which may be open still.
    case drop(StreamKey)
    /// A record that this device has not seen.
    case deliver(Message)
    case acknowledged(token: Int, id: MessageID)
    /// Not accepted under this id, for good (INVALID, TOO_LARGE), or perhaps (EXPIRED: `History.Find` says).
    case refused(token: Int, id: MessageID, Refused)
    case gap(HistoryGap)
    /// The device is served (again).
    case opened(StreamKey, at: String)
    /// The server told the device to go to another one.
    case moved(to: String)
    /// The device must not come back: started elsewhere, or a defect.
    case ended(code: Int, detail: String)
}
