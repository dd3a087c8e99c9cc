/// What a server's partitions bear: streams, and messages a second (sent by their users and handed to them). Those that bear nothing are left out.
///
/// Written as `120:35+12,34;200:5+1`: from partition 120 on 35 streams and 12 messages, in 121 34 streams and no message, in 200 5 and 1. It stays that
/// text until somebody looks: of thousands of reports an operator reads what is in them far less often than it compares them.
public struct PartitionLoads: Equatable, Sendable {
    public struct Load: Equatable, Sendable {
        public var partition: Partition
        public var streams: Int
        public var messages: Int

        public init(_ partition: Partition, streams: Int, messages: Int) {
            self.partition = partition
            self.streams = streams
            self.messages = messages
        }
    }

    let text: String

    /// - Parameter loads: in any order, each partition once.
    public init(_ loads: [Load]) {
        var text = ""
        var next: Int32?
        for load in loads.sorted(by: { $0.partition < $1.partition }) where load.streams > 0 || load.messages > 0 {
            let number = load.partition.number
            if number == next { text += "," } else { text += "\(text.isEmpty ? "" : ";")\(number):" }
            text += load.messages > 0 ? "\(load.streams)+\(load.messages)" : "\(load.streams)"
            next = number + 1
        }
        self.text = text
    }

    /// By partition. What cannot be read ends it: a text of somebody else's proves nothing.
    public var all: [Load] {
        var loads: [Load] = []
        forEach { loads.append(Load(Partition($0), streams: $1, messages: $2)) }
        return loads
    }

    /// Calls `body` with partition number, streams and messages of each.
    public func forEach(_ body: (Int32, Int, Int) -> Void) {
        var copy = text
        copy.withUTF8 { Self.read($0, body) }
    }

    private static func read(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (Int32, Int, Int) -> Void) {
        var place = 0
        /// Nil unless digits stand here, of no more than a billion.
        func number() -> Int? {
            var value = 0
            let begin = place
            while place < bytes.count, let digit = digit(bytes[place]) {
                value = value * 10 + digit
                guard value < 1_000_000_000 else { return nil }
                place += 1
            }
            return place > begin ? value : nil
        }
        func skip(_ byte: Unicode.Scalar) -> Bool {
            guard place < bytes.count, bytes[place] == UInt8(ascii: byte) else { return false }
            place += 1
            return true
        }
        repeat {
            guard var partition = number(), skip(":") else { return }
            repeat {
                guard let streams = number() else { return }
                var messages = 0
                if skip("+") {
                    guard let found = number() else { return }
                    messages = found
                }
                body(Int32(partition), streams, messages)
                partition += 1
            } while skip(",")
        } while skip(";")
    }

    private static func digit(_ byte: UInt8) -> Int? { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) ? Int(byte) - 48 : nil }
}

extension PartitionLoads: Codable {
    public init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
