import Cell

@testable import Servers

/// A server with its producer.
final class ModelServer {
    struct Queued {
        var partition: Partition
        var bytes: [UInt8]
        var ticket: Ticket
    }

    let core: MessagingCore
    var hasProducer = true
    var queue: [Queued] = []
    /// What discarded producers may still land.
    var ghosts: [Queued] = []
    var reports: [(Ticket, Int64?, Int64)] = []
    var losesReports = false
    var connections: [StreamID: ModelConnection] = [:]
    private var lastStream: UInt64 = 0
    /// Streams whose client has not taken what waits, and those of them that were refused a frame.
    private var full: Set<StreamID> = []
    private var behind: Set<StreamID> = []

    init(number: Int, partitions: Int, now: Now) {
        let id = ServerID(.messaging, number)
        var settings = Settings()
        settings.limits.userRate = 8
        settings.limits.unacknowledged = 4
        core = MessagingCore(
            MessagingIdentity(server: id, incarnation: CoreBench.mine, partitions: partitions, idWindow: .seconds(600), embedded: false), settings: settings,
            now: now)
        core.producerReady(at: now)
        var member = Member(incarnation: CoreBench.mine, address: "\(number)", http: "", role: .owner)
        member.owns = PartitionSet(all: partitions)
        core.assigned(Assignment(epoch: Epoch(1), term: Term(1), log: DeliveryModel.log, members: [id: member]), at: now)
        for partition in 0..<partitions {
            core.readingBegan(Partition(partition), reading: core.partitions[Partition(partition)]!.reading, start: 0, end: 0, at: now)
        }
        _ = core.takeActions()
    }

    var isQuiet: Bool { hasProducer && queue.isEmpty && ghosts.isEmpty && reports.isEmpty }

    func begin(_ connection: ModelConnection, _ user: UInt64, _ model: DeliveryModel) -> StreamID {
        lastStream += 1
        let id = StreamID(number: lastStream)
        connections[id] = connection
        core.began(id, user: UserID(user)!, at: model.now)
        return id
    }

    func perform(_ model: DeliveryModel) {
        var actions = core.takeActions()
        while !actions.isEmpty {
            for action in actions { perform(action, model) }
            actions = core.takeActions()
        }
    }

    private func perform(_ action: Action, _ model: DeliveryModel) {
        switch action {
        case .send(let id, let frame): if let frame = CoreBench.frame(frame) { connections[id]?.toClient.append(.frame(frame)) }
        case .finish(let id, let end):
            connections[id]?.toClient.append(.end(end.name))
            connections[id] = nil
        case .deliver(let id, let frame, let next): deliver(frame, to: id, next, model)
        case .awaitDrain(let id): full.insert(id)
        case .produce(let partition, let bytes, let ticket):
            if hasProducer { queue.append(Queued(partition: partition, bytes: bytes, ticket: ticket)) }
        case .askEnd(let partition, let query):
            core.endAnswered(partition, query: query, end: Int64(model.logs[Int(partition.number)].count), at: model.now)
        case .startReading, .stopReading, .pace, .readAssignment, .probe, .report, .acknowledged: break
        }
    }

    /// A client's queue may be full at any moment.
    private func deliver(_ bytes: [UInt8], to id: StreamID, _ next: Int64, _ model: DeliveryModel) {
        guard let connection = connections[id], !behind.contains(id), let frame = CoreBench.frame(bytes) else { return }
        guard model.chance(95) else { return refuse(id, next, model) }
        connection.toClient.append(.frame(frame))
    }

    private func refuse(_ id: StreamID, _ next: Int64, _ model: DeliveryModel) {
        behind.insert(id)
        core.fellBehind(id, next: next, at: model.now)
    }

    func drain(_ model: DeliveryModel) {
        for id in full.sorted() where model.chance(50) {
            full.remove(id)
            behind.remove(id)
            core.drained(id, at: model.now)
        }
        perform(model)
    }

    /// The producer is discarded: of each partition some first part may still land, the rest never.
    func lose(_ model: DeliveryModel) {
        guard hasProducer else { return }
        var stopped: Set<Partition> = []
        for record in queue where !stopped.contains(record.partition) {
            if model.chance(60) { ghosts.append(record) } else { stopped.insert(record.partition) }
        }
        queue = []
        if model.rules.lossIsTold {
            hasProducer = false
            reports = []
            core.producerLost(at: model.now)
        }
        perform(model)
    }

    func start(at now: Now) {
        hasProducer = true
        core.producerReady(at: now)
        _ = core.takeActions()
    }
}

/// One stream's two directions.
final class ModelConnection {
    enum Arrival {
        case frame(ServerFrame)
        case end(String)
    }
    let server: ModelServer
    var id = StreamID(number: 0)
    var toServer: [ClientFrame] = []
    var toClient: [Arrival] = []
    init(_ server: ModelServer) { self.server = server }
}

class ModelClient {
    let user: UInt64
    let device: String
    var connection: ModelConnection?
    var attempt: UInt32 = 0
    var cursor: Int64 = -1

    init(user: UInt64, device: String) {
        self.user = user
        self.device = device
    }

    func connect(_ model: DeliveryModel) {
        let connection = ModelConnection(model.servers[model.pick(2)])
        connection.id = connection.server.begin(connection, user, model)
        attempt += 1
        var open = Open()
        open.device = device
        open.session = "s"
        open.attempt = attempt
        open.cursor = cursor
        open.log = cursor < 0 ? "" : DeliveryModel.log.description
        connection.toServer.append(.open(open))
        self.connection = connection
    }

    /// The connection breaks: what is under way in both directions is lost.
    func drop(_ model: DeliveryModel) {
        guard let connection else { return }
        connection.server.connections[connection.id] = nil
        connection.server.core.ended(connection.id, at: model.now)
        connection.server.perform(model)
        self.connection = nil
    }

    func handOver(_ model: DeliveryModel) {
        guard let connection, !connection.toServer.isEmpty else { return }
        connection.server.core.received(connection.toServer.removeFirst(), on: connection.id, at: model.now)
        connection.server.perform(model)
    }

    func take(_ model: DeliveryModel) {
        guard let connection, !connection.toClient.isEmpty else { return }
        switch connection.toClient.removeFirst() {
        case .frame(let frame): took(frame, model)
        case .end(let name):
            self.connection = nil
            ended(name, model)
        }
    }

    func took(_ frame: ServerFrame, _ model: DeliveryModel) {}
    func ended(_ name: String, _ model: DeliveryModel) {}
}

/// Listens, and resumes with its cursor.
final class ModelReceiver: ModelClient {
    private(set) var got: [MessageID] = []

    init(user: UInt64) { super.init(user: user, device: "listener") }

    override func took(_ frame: ServerFrame, _ model: DeliveryModel) {
        switch frame {
        case .message(let message) where message.offset > cursor:
            got.append(MessageID(bytes: message.id)!)
            cursor = message.offset
        case .alive(let alive): cursor = max(cursor, alive.next - 1)
        default: break
        }
    }
}

/// Sends as the contract says.
final class ModelSender: ModelClient {
    struct Message {
        var id: MessageID
        var receiver: UInt64
    }

    var targets: [UInt64] = []
    private(set) var left: Int
    private(set) var sent: [Message] = []
    private(set) var unacknowledged: [Message] = []
    private(set) var acknowledged: Set<MessageID> = []
    /// Statuses that a client which keeps the contract never gets.
    private(set) var nonsense: [String] = []
    private var isOpened = false
    private var round: UInt32 = 0
    private var waitsUntil_ms: Int64?
    /// How many of `unacknowledged` were sent in this round.
    private var said = 0
    private var unanswered: [MessageID: Int64] = [:]
    private var refusedAt: MessageID?

    init(messages: Int) {
        left = messages
        super.init(user: DeliveryModel.sender, device: "sender")
    }

    override func connect(_ model: DeliveryModel) {
        super.connect(model)
        isOpened = false
        round = 0
        waitsUntil_ms = nil
        unanswered = [:]
        refusedAt = nil
    }

    /// Says the next thing: what is unacknowledged first, then something new.
    func speak(_ model: DeliveryModel) {
        guard let connection, isOpened, waitsUntil_ms == nil, unanswered.count < 4 else { return }
        if said == unacknowledged.count {
            guard left > 0 else { return }
            left -= 1
            let message = Message(id: MessageID(time_ms: model.now.wall_ms, using: &model.random), receiver: targets[model.pick(targets.count)])
            sent.append(message)
            unacknowledged.append(message)
        }
        let message = unacknowledged[said]
        said += 1
        unanswered[message.id] = model.now.monotonic_ms
        var send = Send()
        send.id = message.id.bytes
        send.receiver = message.receiver
        send.body = Array("body".utf8)
        send.round = round
        connection.toServer.append(.send(send))
    }

    override func took(_ frame: ServerFrame, _ model: DeliveryModel) {
        switch frame {
        case .opened:
            isOpened = true
            said = model.rules.streamBeginsWithAll ? 0 : unacknowledged.count
        case .ack(let ack): answered(MessageID(bytes: ack.id)!)
        case .refused(let refused): wasRefused(refused, model)
        default: break
        }
    }

    private func answered(_ id: MessageID) {
        unanswered[id] = nil
        acknowledged.insert(id)
        guard let index = unacknowledged.firstIndex(where: { $0.id == id }) else { return }
        unacknowledged.remove(at: index)
        if index < said { said -= 1 }
    }

    private func wasRefused(_ refused: Refused, _ model: DeliveryModel) {
        guard refused.reason.endsRound else { return nonsense.append("\(refused.reason)") }
        if refused.round < round { nonsense.append("round \(refused.round) ended after \(round) had begun") }
        round = refused.round + 1
        waitsUntil_ms = max(waitsUntil_ms ?? 0, model.now.monotonic_ms + Int64(refused.retryAfter_ms))
        unanswered = [:]
        refusedAt = MessageID(bytes: refused.id)
    }

    func pass(_ model: DeliveryModel) {
        if let until = waitsUntil_ms, until <= model.now.monotonic_ms {
            waitsUntil_ms = nil
            said = model.rules.roundBeginsWithAll ? 0 : unacknowledged.firstIndex { $0.id == refusedAt } ?? unacknowledged.count
        }
        // The server counts as lost.
        if waitsUntil_ms == nil, unanswered.values.contains(where: { model.now.monotonic_ms - $0 > 10_000 }) { drop(model) }
    }

    override func ended(_ name: String, _ model: DeliveryModel) {
        if name != "unavailable" { nonsense.append(name) }
    }
}
