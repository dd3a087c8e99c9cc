import Cell

/// From Send to Ack or Refused.
extension MessagingCore {
    func received(_ send: Send, from conversation: Conversation) {
        // A round that was ended: not taken, not answered.
        guard send.round >= conversation.round else { return }
        guard send.round == conversation.round else {
            return finish(conversation, .invalidArgument("Send.round is \(send.round), and the stream is in round \(conversation.round)"))
        }
        counters.sends += 1
        partitions[conversation.partition]?.messages += 1
        guard let id = MessageID(bytes: send.id) else { return refuse(send.id, .invalid, "Send.id is no UUIDv7 of 16 bytes", to: conversation) }
        guard let receiver = UserID(send.receiver) else { return refuse(send.id, .invalid, "Send.receiver is 0, which is no user", to: conversation) }
        guard send.body.count <= settings.limits.bodyBytes else {
            return refuse(send.id, .tooLarge, "the body has \(send.body.count) bytes; \(settings.limits.bodyBytes) are allowed", to: conversation)
        }
        if let flight = flights[conversation.user]?[id] { return join(flight, send, receiver, conversation) }
        if isExpired(id) {
            return refuse(send.id, .expired, "the id's time is more than \(identity.idWindow.milliseconds) ms from now", to: conversation)
        }
        guard isAdmitted(id, to: receiver, conversation) else { return }
        take(id, receiver, send.body, from: conversation)
    }

    /// By this server's clock only beyond the margin: nearer the log decides.
    private func isExpired(_ id: MessageID) -> Bool {
        abs(now.wall_ms - id.time_ms) > identity.idWindow.milliseconds + OnceRule.margin_ms
    }

    private func join(_ flight: Flight, _ send: Send, _ receiver: UserID, _ conversation: Conversation) {
        guard flight.receiver == receiver, flight.body == send.body else {
            return refuse(send.id, .invalid, "this id is under way with another receiver or body", to: conversation)
        }
        guard conversation.unanswered.contains(flight.id) || hasRoom(conversation, send.id) else { return }
        counters.joins += 1
        conversation.unanswered.insert(flight.id)
        if !flight.waiters.contains(conversation.id) { flight.waiters.append(conversation.id) }
        expectAnswer(to: flight)
    }

    // MARK: admission

    private func hasRoom(_ conversation: Conversation, _ id: [UInt8]) -> Bool {
        guard conversation.unanswered.count >= settings.limits.unacknowledged else { return true }
        refuse(
            id, .overloaded, "\(conversation.unanswered.count) ids are unanswered on this stream; \(settings.limits.unacknowledged) are allowed",
            to: conversation, retryAfter_ms: 200)
        return false
    }

    private func isAdmitted(_ id: MessageID, to receiver: UserID, _ conversation: Conversation) -> Bool {
        guard hasRoom(conversation, id.bytes) else { return false }
        guard canProduce else {
            refuse(id.bytes, .overloaded, "this server cannot reach the log", to: conversation, retryAfter_ms: 500)
            return false
        }
        guard tickets.count < Self.flightsAtOnce, flightBytes < Self.flightBytesAtOnce else {
            refuse(id.bytes, .overloaded, "\(tickets.count) messages of \(flightBytes) bytes wait for the log", to: conversation, retryAfter_ms: 1_000)
            return false
        }
        return isWithinRates(id, to: receiver, conversation)
    }

    private func isWithinRates(_ id: MessageID, to receiver: UserID, _ conversation: Conversation) -> Bool {
        let (limits, now_ms) = (settings.limits, now.monotonic_ms)
        if let wait = userRates[conversation.user, default: TokenBucket(rate: limits.userRate, now_ms: now_ms)].take(rate: limits.userRate, now_ms: now_ms) {
            refuse(id.bytes, .tooFast, "more than \(limits.userRate) messages a second from user \(conversation.user)", to: conversation, retryAfter_ms: wait)
            return false
        }
        let partition = receiver.partition(of: identity.partitions)
        let wait = partitionRates[partition, default: TokenBucket(rate: limits.partitionRate, now_ms: now_ms)].take(rate: limits.partitionRate, now_ms: now_ms)
        guard let wait else { return true }
        userRates[conversation.user]?.giveBack()
        refuse(id.bytes, .tooFast, "more than \(limits.partitionRate) messages a second to partition \(partition)", to: conversation, retryAfter_ms: wait)
        return false
    }

    // MARK: under way

    private func take(_ id: MessageID, _ receiver: UserID, _ body: [UInt8], from conversation: Conversation) {
        let flight = Flight(
            id: id, sender: conversation.user, receiver: receiver, body: body, order: lastTicket + 1, taken_ms: now.monotonic_ms, waiter: conversation.id)
        flights[conversation.user, default: [:]][id] = flight
        flightBytes += flight.cost_bytes
        conversation.unanswered.insert(id)
        produce(flight, to: receiver.partition(of: identity.partitions))
        expectAnswer(to: flight)
    }

    private func produce(_ flight: Flight, to partition: Partition) {
        lastTicket += 1
        flight.ticket = lastTicket
        flight.produced_ms = now.wall_ms
        flight.seen = seen[Int(partition.number)]
        tickets[flight.ticket] = flight
        act(.produce(partition, flight.record(at: now.wall_ms), flight.ticket))
    }

    private func expectAnswer(to flight: Flight) {
        flight.late_ms = now.monotonic_ms + Self.unknownOutcome_ms
        alarm(.flight(flight.sender, flight.id), after: Self.unknownOutcome_ms)
    }

    func flightIsLate(_ sender: UserID, _ id: MessageID) {
        guard let flight = flights[sender]?[id], let late_ms = flight.late_ms, late_ms <= now.monotonic_ms else { return }
        flight.late_ms = nil
        // It stays under way: its record may still come, and the client's retry joins it.
        refuse(flight, .unknownOutcome, "the log did not answer within \(Self.unknownOutcome_ms / 1_000) s", retryAfter_ms: 100)
    }

    // MARK: reports

    func reported(_ ticket: Ticket, _ answer: LogAnswer, at now: Now) {
        self.now = now
        guard let flight = tickets.removeValue(forKey: ticket) else { return }
        let partition = partition(of: flight)
        switch verdict(on: answer, flight, partition) {
        case .good: advance(flight, from: partition)
        case .void:
            forget(flight)
            refuse(flight, .expired, "the log took it more than \(identity.idWindow.milliseconds) ms from the id's time")
        case .tooLarge:
            forget(flight)
            refuse(flight, .tooLarge, "the log does not take records of this size")
        case .unknown(let why): giveUp(flight, why)
        }
    }

    private enum Verdict { case good, void, tooLarge, unknown(String) }

    private func partition(of flight: Flight) -> Partition {
        (flight.stage == .towardReceiver ? flight.receiver : flight.sender).partition(of: identity.partitions)
    }

    private func verdict(on answer: LogAnswer, _ flight: Flight, _ partition: Partition) -> Verdict {
        guard case .landed(let offset, let time_ms) = answer else { return .tooLarge }
        guard let offset, let log_ms = identity.embedded ? flight.produced_ms : time_ms else { return .unknown("the log did not say where it is") }
        guard offset > flight.seen else {
            counters.suspectReports += 1
            return .unknown("the log gave it offset \(offset), and had \(flight.seen) already")
        }
        note(offset, in: partition)
        guard let log, !OnceRule.isVoid(flight.id, at: log_ms, window_ms: identity.idWindow.milliseconds, logBegan_ms: log.time_ms) else { return .void }
        if identity.embedded, abs(now.wall_ms - flight.id.time_ms) > identity.idWindow.milliseconds { return .void }
        return .good
    }

    private func advance(_ flight: Flight, from partition: Partition) {
        let own = flight.sender.partition(of: identity.partitions)
        if flight.stage == .towardReceiver, own != partition {
            flight.stage = .towardSender
            return produce(flight, to: own)
        }
        forget(flight)
        act(.acknowledged(after_ms: now.monotonic_ms - flight.taken_ms))
        for id in flight.waiters {
            guard let conversation = conversations[id] else { continue }
            conversation.unanswered.remove(flight.id)
            counters.acks += 1
            var ack = Ack()
            ack.id = flight.id.bytes
            say(.ack(ack), to: conversation)
        }
    }

    /// What becomes of the record is not known. Messages to the same receiver that came later are given up too, so that none of their copies gets
    /// before this one's: the client sends all of them again, in order.
    private func giveUp(_ flight: Flight, _ why: String) {
        var lost = [flight]
        if flight.stage == .towardReceiver {
            lost += (flights[flight.sender] ?? [:]).values
                .filter { $0.receiver == flight.receiver && $0.stage == .towardReceiver && $0.order > flight.order }
                .sorted { $0.order < $1.order }
        }
        for flight in lost {
            forget(flight)
            refuse(flight, .unknownOutcome, why, retryAfter_ms: 100)
        }
    }

    private func forget(_ flight: Flight) {
        tickets[flight.ticket] = nil
        flightBytes -= flight.cost_bytes
        flights[flight.sender]?[flight.id] = nil
        if flights[flight.sender]?.isEmpty == true { flights[flight.sender] = nil }
    }

    // MARK: the producer

    func producerReady(at now: Now) {
        self.now = now
        canProduce = true
        act(.report)
    }

    /// The producer is discarded; what it held may land or not. The streams that waited for it end, and their clients send again.
    func producerLost(at now: Now) {
        self.now = now
        canProduce = false
        act(.report)
        counters.producersLost += 1
        loseFlights { self.finish($0, .unavailable("the log's producer failed")) }
    }

    /// Forgets every Send in flight.
    func loseFlights(_ tell: (Conversation) -> Void) {
        let waiters = Set(flights.values.joined().flatMap(\.value.waiters)).sorted()
        flights = [:]
        tickets = [:]
        flightBytes = 0
        for conversation in waiters.compactMap({ conversations[$0] }) { tell(conversation) }
    }

    // MARK: refusals

    private func refuse(_ flight: Flight, _ reason: Reason, _ detail: String, retryAfter_ms: Int32 = 0) {
        for id in flight.waiters {
            guard let conversation = conversations[id], conversation.unanswered.remove(flight.id) != nil else { continue }
            refuse(flight.id.bytes, reason, detail, to: conversation, retryAfter_ms: retryAfter_ms)
        }
    }

    private func refuse(_ id: [UInt8], _ reason: Reason, _ detail: String, to conversation: Conversation, retryAfter_ms: Int32 = 0) {
        counters.refusals[reason, default: 0] += 1
        var refused = Refused()
        refused.id = id
        refused.reason = reason
        refused.detail = detail
        refused.retryAfter_ms = retryAfter_ms
        if reason.endsRound {
            refused.round = conversation.round
            conversation.round &+= 1
        }
        say(.refused(refused), to: conversation)
    }
}
