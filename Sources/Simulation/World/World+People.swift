import Cell
import Operator

// What people ask for, as cellctl does: refused where it cannot be granted, and tried again while nobody answers.
extension World {
    enum Wish {
        case drain(ServerID), drainZone(String), move(PartitionSet, ServerID), restart, pause, resume, takeBack
    }

    /// What was asked for first is granted first, however long nobody answers.
    func ask(_ wish: Wish) {
        wishesUnderWay.append(wish)
        if wishesUnderWay.count == 1 { answerNext() }
    }

    private func answerNext() {
        while let wish = wishesUnderWay.first {
            guard redisIsUp, redis.spec != nil, let servers = told else { return after(500_000) { self.answerNext() } }
            wishesUnderWay.removeFirst()
            answer(wish, servers)
            // Redis may lose it again.
            if case .resume = wish { after(3_000_000) { [self] in if redis.wishes.isRolloutPaused, pausesUnderWay == 0 { ask(.resume) } } }
        }
    }

    private func answer(_ wish: Wish, _ servers: [CellStatus.ServerStatus]) {
        var wishes = redis.wishes
        var refusal: Refusal?
        switch wish {
        case .drain(let id):
            wishes.drains = Set(wishes.drains + [id]).sorted()
            refusal = wishes.refusalOfDrains(spec, servers)
        case .drainZone(let zone):
            wishes.drainedZones = Set(wishes.drainedZones + [zone]).sorted()
            refusal = wishes.refusalOfDrains(spec, servers)
        case .move(let partitions, let id):
            refusal = wishes.refusal(ofMoving: partitions, to: id, spec, servers)
            wishes.place(partitions, at: id)
        case .restart: wishes.restarts += 1
        case .pause: wishes.isRolloutPaused = true
        case .resume: wishes.isRolloutPaused = false
        case .takeBack:
            wishes.drains = []
            wishes.drainedZones = []
            wishes.places = []
        }
        if let refusal { return timeline.add("refused: \(refusal.problem)") }
        guard wishes != redis.wishes else { return }
        redis.put(wishes, now_ms: redisTime_ms)
        tellOperators(.spec)
    }

    /// The servers, as the leading operator tells them.
    private var told: [CellStatus.ServerStatus]? {
        guard let leader, let spec = leader.spec, let plan = leader.lastPlan else { return nil }
        return status(for: spec, observed: leader.observed, plan: plan, previous: nil, leader: leader.name, now: moment, now_ms: unix_ms).servers
    }

    /// Some partitions, and an owner that is ready to have them.
    func moveByHand(_ number: Int) {
        let owners = (told ?? []).filter { $0.role == Member.Role.owner.rawValue && $0.state == .ready }
        guard !owners.isEmpty else { return }
        let first = Int32(number % spec.partitions)
        let last = min(Int32(spec.partitions - 1), first + Int32(number % 7))
        ask(.move(PartitionSet(first...last), owners[number % owners.count].name))
    }

    /// Servers that people want to have nothing.
    func isDrained(_ server: ServerModel) -> Bool { redis.wishes.drains.contains(server.life.id) || redis.wishes.drainedZones.contains(server.zone) }

    /// Clients of `set`. Only what has lasted for `lasting_us` counts.
    func clients(of set: PartitionSet, lasting_us: Int64 = 0) -> Double {
        let hot = heats.filter { set.contains(Partition($0.key)) && now_us - $0.value.since_us >= lasting_us }
        // In their order: the sum of the same numbers in another order may be another number.
        return clientsPerPartition * hot.sorted { $0.key < $1.key }.reduce(Double(set.count)) { $0 + $1.value.times - 1 }
    }

    func heat(_ number: Int, times: Int) {
        heats[Int32(number % spec.partitions)] = times == 1 ? nil : (Double(times), now_us)
        for server in substrate.living { server.hasOtherClients() }
    }

    /// As many clients as `percent` of what the cell was made for.
    func setLoad(percent: Int) {
        clientsPerPartition = usualClients * Double(percent) / 100
        for server in substrate.living { server.hasOtherClients() }
    }
}
