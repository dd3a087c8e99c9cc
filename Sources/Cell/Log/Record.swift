/// What a partition of the log holds. The first byte is the layout's version, the second the kind; numbers are little-endian.
///
///     message  1 1  id 16  sender 8  receiver 8  produced_ms 8  body …
///     tick     1 2  produced_ms 8                             written by a partition's owner after 10 s of silence; handed to nobody
///     probe    1 3  produced_ms 8  nonce 8                    written by the operator to see that the owner reads; handed to nobody
public enum Record: Equatable, Sendable {
    case message(LoggedMessage)
    case tick(produced_ms: Int64)
    case probe(produced_ms: Int64, nonce: UInt64)

    /// Unix milliseconds of the producing server's clock: the log time on a backplane that stamps no records.
    public var produced_ms: Int64 {
        switch self {
        case .message(let message): message.produced_ms
        case .tick(let time), .probe(let time, _): time
        }
    }
}

public struct LoggedMessage: Equatable, Sendable {
    public var id: MessageID
    public var sender: UserID
    public var receiver: UserID
    public var produced_ms: Int64
    public var body: [UInt8]

    public init(id: MessageID, sender: UserID, receiver: UserID, produced_ms: Int64, body: [UInt8]) {
        self.id = id
        self.sender = sender
        self.receiver = receiver
        self.produced_ms = produced_ms
        self.body = body
    }

    /// Bytes of a message record beside its body.
    public static let overhead_bytes = 42
}

extension Record {
    private static let version: UInt8 = 1

    public var bytes: [UInt8] {
        switch self {
        case .message(let message):
            var bytes: [UInt8] = []
            bytes.reserveCapacity(LoggedMessage.overhead_bytes + message.body.count)
            bytes += [Self.version, 1]
            bytes += message.id.bytes
            for number in [message.sender.value, message.receiver.value, UInt64(bitPattern: message.produced_ms)] { bytes.append(littleEndian: number) }
            bytes += message.body
            return bytes
        case .tick(let time):
            var bytes = [Self.version, 2]
            bytes.append(littleEndian: UInt64(bitPattern: time))
            return bytes
        case .probe(let time, let nonce):
            var bytes = [Self.version, 3]
            bytes.append(littleEndian: UInt64(bitPattern: time))
            bytes.append(littleEndian: nonce)
            return bytes
        }
    }

    /// Nil for what no version of this program has written: it is skipped by every reader alike.
    public init?(bytes: [UInt8]) {
        guard bytes.count >= 10, bytes[0] == Self.version else { return nil }
        switch (bytes[1], bytes.count) {
        case (1, LoggedMessage.overhead_bytes...):
            guard let id = MessageID(bytes: bytes[2..<18]), let sender = UserID(bytes.littleEndian(at: 18)), let receiver = UserID(bytes.littleEndian(at: 26))
            else { return nil }
            let time = Int64(bitPattern: bytes.littleEndian(at: 34))
            self = .message(LoggedMessage(id: id, sender: sender, receiver: receiver, produced_ms: time, body: Array(bytes[42...])))
        case (2, 10): self = .tick(produced_ms: Int64(bitPattern: bytes.littleEndian(at: 2)))
        case (3, 18): self = .probe(produced_ms: Int64(bitPattern: bytes.littleEndian(at: 2)), nonce: bytes.littleEndian(at: 10))
        default: return nil
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(littleEndian number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    fileprivate func littleEndian(at index: Int) -> UInt64 {
        (0..<8).reversed().reduce(0) { $0 << 8 | UInt64(self[index + $1]) }
    }
}
