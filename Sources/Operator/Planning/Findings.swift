import Cell

/// What keeps the cell from being as its spec wishes, for `status`.
struct Findings {
    private(set) var all: [Finding] = []

    init(_ situation: Situation, _ roles: Roles, _ layout: Layout) {
        let (observed, standings, now) = (situation.observed, situation.standings, situation.now)
        describe(observed.log, of: situation.spec.backplane)
        describe(observed.canary.silent(now: now), now)
        if case .away(let problem) = observed.store { all.append(Finding(.trouble, "StoreAway", problem)) }
        if observed.redisBack == nil { all.append(Finding(.trouble, "RedisAway", "Redis does not answer: leases do not count, and nothing can be published")) }
        if observed.servers == nil { all.append(Finding(.trouble, "DriverAway", "the driver cannot be asked: nothing is started or stopped")) }
        for standing in standings.all { describe(standing, observed) }
        for other in standings.namesakes {
            all.append(Finding(.trouble, "NameTwice", "incarnation \(other.life.incarnation) has the name of another \(other.id), and does not count"))
        }
        if !layout.unowned.isEmpty {
            all.append(
                Finding(
                    .trouble, "Unowned",
                    "nobody owns \(count(layout.unowned)): \(observed.assignment.log == nil ? "there is no log yet" : "no server is ready")"))
        }
        let moving = layout.moving
        if moving > 0 {
            let relieving = layout.ids { !$0.relieves.isEmpty }.reduce(0) { $0 + layout.relieves($1).count }
            all.append(Finding(.progress, "Moving", "\(moving) partitions are moving\(relieving > 0 ? ", \(relieving) of them for load" : "")"))
        }
        if !roles.waiting.isEmpty {
            let names = roles.waiting.map(\.description).joined(separator: ", ")
            all.append(Finding(.progress, "DrainWaits", "\(names) drain as soon as another messaging server is ready"))
        }
        // One whose last clients are on their way drains too.
        let draining = roles.draining + roles.cordoned.filter { !layout.leaves($0).isEmpty }
        if !draining.isEmpty {
            let names = draining.map(\.description).joined(separator: ", ")
            if roles.owners.contains(where: { standings.isReady($0) }) {
                all.append(Finding(.progress, "Draining", "\(names) drain"))
            } else {
                all.append(Finding(.trouble, "DrainWaits", "\(names) cannot drain: no other server is ready to own their partitions"))
            }
        }
        if !roles.surplus.isEmpty { all.append(Finding(.progress, "Stopping", "\(roles.surplus.count) messaging servers are to stop")) }
    }

    private mutating func describe(_ log: LogView, of backplane: BackplaneSpec) {
        guard case .kafka(let kafka) = backplane else { return }
        switch log {
        case .differs(let problem, let remedy): all.append(Finding(.trouble, "TopicDiffers", "\(kafka.topic) \(problem). \(remedy)"))
        case .unfit(let problem, let remedy): all.append(Finding(.trouble, "TopicUnfit", "\(kafka.topic) \(problem). \(remedy)"))
        case .unreachable(let problem): all.append(Finding(.trouble, "KafkaAway", problem))
        case .unknown, .missing: all.append(Finding(.progress, "TopicPending", "\(kafka.topic) is looked at or made"))
        case .intact, .renewed: break
        }
    }

    private mutating func describe(_ silent: [Canary.Silence], _ now: Moment) {
        let read = silent.filter(\.isReadElsewhere)
        for (silences, reader) in [(read, "although others do"), (silent.filter { !$0.isReadElsewhere }, "and neither does anybody else")] {
            guard let longest = silences.map(\.since).min() else { continue }
            let owners = Set(silences.map(\.owner)).sorted().prefix(4).map(\.description).joined(separator: ", ")
            let text =
                "for \((now - longest).components.seconds) s \(owners) have read nothing of \(count(PartitionSet(silences.map(\.partition)))), where probes lie, \(reader)"
            all.append(Finding(.trouble, "PartitionSilent", text))
        }
    }

    private mutating func describe(_ standing: Standing, _ observed: ObservedCell) {
        switch standing.health {
        case .cutOff: all.append(Finding(.trouble, "CutOff", "\(standing.id) answers its probe and does not reach Redis: it keeps its partitions and clients"))
        case .hung: all.append(Finding(.trouble, "Hung", "\(standing.id) hangs"))
        case .shut: all.append(Finding(.progress, "PortShut", "\(standing.id) takes no connections, and its driver has not told of its end yet"))
        case .stuck(let partition): all.append(Finding(.trouble, "Stuck", "\(standing.id) reads nothing of partition \(partition), which others have read"))
        case .unready, .suspect:
            let waits = standing.waitsFor
            all.append(Finding(.trouble, "NotReady", "\(standing.id) is not ready\(waits.isEmpty ? "" : ": it waits for \(waits)")"))
        case .starting:
            let waits = standing.waitsFor
            all.append(Finding(.progress, "Starting", "\(standing.id) is starting\(waits.isEmpty ? "" : ": it waits for \(waits)")"))
        case .stopping:
            let waits = standing.running?.waitsFor ?? ""
            // One whose end nobody tells is waited for no longer: its work is with others.
            all.append(
                Finding(
                    waits.isEmpty ? .progress : .trouble, waits.isEmpty ? "Stopping" : "StuckStopping",
                    "\(standing.id) is stopping\(waits.isEmpty ? "" : ": it waits for \(waits)")"))
        case .ready:
            let (generation, epoch) = (standing.generation, standing.epoch)
            if generation < observed.generation {
                all.append(Finding(.progress, "Applying", "\(standing.id) has applied generation \(generation) of \(observed.generation)"))
            }
            if epoch < observed.assignment.epoch, epoch < observed.changes[standing.id]?.epoch ?? .none {
                all.append(Finding(.progress, "Applying", "\(standing.id) has applied epoch \(epoch) of \(observed.assignment.epoch)"))
            }
        case .gone: break
        }
    }
}
