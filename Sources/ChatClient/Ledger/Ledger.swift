import Cell

/// What a run of many devices promised and got: every acknowledged id must have arrived exactly once on every device of sender and
/// receiver, and what one device sent to one receiver in the order in which it was sent.
public struct Ledger: Sendable {
    /// A device of the run, as its owner numbers them.
    public typealias DeviceNumber = Int

    private struct Sent {
        let device: DeviceNumber, sender: UserID, receiver: UserID, order: Int
        var acknowledged = false
    }

    /// A record as one device got it.
    private struct Got {
        let log: LogID, offset: Int64, id: MessageID, receiver: UserID
    }

    private var sent: [MessageID: Sent] = [:]
    private var got: [DeviceNumber: [Got]] = [:]
    private var devices: [UserID: [DeviceNumber]] = [:]
    private var order = 0
    public private(set) var acknowledged = 0
    /// Ids that were refused for good.
    public private(set) var refused = 0

    public init() {}

    public mutating func enlist(_ device: DeviceNumber, of user: UserID) {
        devices[user, default: []].append(device)
        got[device] = []
    }

    /// The device gave `id` to a message of its own for the first time.
    public mutating func sent(_ id: MessageID, by device: DeviceNumber, of sender: UserID, to receiver: UserID) {
        guard sent[id] == nil else { return }
        order += 1
        sent[id] = Sent(device: device, sender: sender, receiver: receiver, order: order)
    }

    public mutating func acknowledged(_ id: MessageID) {
        guard sent[id]?.acknowledged == false else { return }
        sent[id]?.acknowledged = true
        acknowledged += 1
    }

    public mutating func refused(_ id: MessageID) { refused += 1 }

    /// The device got a record, from a stream or for a gap from the history.
    public mutating func delivered(_ message: Message, log: LogID, on device: DeviceNumber) {
        guard let id = MessageID(bytes: message.id), let receiver = UserID(message.receiver) else { return }
        got[device, default: []].append(Got(log: log, offset: message.offset, id: id, receiver: receiver))
    }

    public struct Verdict: Equatable, Sendable {
        public var sent = 0, acknowledged = 0, deliveries = 0
        /// Acknowledged ids that a device of sender or receiver never got, counted for each device.
        public var lost = 0
        public var doubled = 0
        public var reordered = 0
        /// A few of them, for people.
        public var examples: [String] = []

        public var isClean: Bool { lost == 0 && doubled == 0 && reordered == 0 }

        fileprivate mutating func note(_ text: @autoclosure () -> String) {
            if examples.count < 10 { examples.append(text()) }
        }
    }

    /// Where in a log a record stands.
    struct Place: Hashable {
        let log: LogID, offset: Int64, id: [UInt8]
    }

    /// What one device got.
    func got(on device: DeviceNumber) -> [Place] {
        got[device, default: []].map { Place(log: $0.log, offset: $0.offset, id: $0.id.bytes) }
    }

    public func verdict() -> Verdict {
        var verdict = Verdict(sent: sent.count, acknowledged: acknowledged)
        for (device, records) in got.sorted(by: { $0.key < $1.key }) {
            verdict.deliveries += records.count
            check(records.sorted { ($0.log, $0.offset) < ($1.log, $1.offset) }, of: device, into: &verdict)
        }
        checkArrival(into: &verdict)
        return verdict
    }

    private func check(_ records: [Got], of device: DeviceNumber, into verdict: inout Verdict) {
        var seen: Set<MessageID> = []
        var last: [Lane: Int] = [:]
        for record in records {
            guard seen.insert(record.id).inserted else {
                verdict.doubled += 1
                verdict.note("device \(device) got \(record.id) twice, again at offset \(record.offset)")
                continue
            }
            guard let sent = sent[record.id] else { continue }
            let lane = Lane(device: sent.device, receiver: sent.receiver)
            if sent.order < last[lane, default: 0] {
                verdict.reordered += 1
                verdict.note("device \(device) got \(record.id) at offset \(record.offset) after a later one of the same sender")
            }
            last[lane] = max(last[lane, default: 0], sent.order)
        }
    }

    private struct Lane: Hashable {
        let device: DeviceNumber, receiver: UserID
    }

    private func checkArrival(into verdict: inout Verdict) {
        let arrived = got.mapValues { Set($0.map(\.id)) }
        for (id, message) in sent.sorted(by: { $0.value.order < $1.value.order }) where message.acknowledged {
            for user in Set([message.sender, message.receiver]).sorted() {
                for device in devices[user, default: []] where arrived[device]?.contains(id) != true {
                    verdict.lost += 1
                    verdict.note("device \(device) of user \(user) never got \(id), sent by \(message.sender) to \(message.receiver)")
                }
            }
        }
    }
}
