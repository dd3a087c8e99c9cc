import Cell
import Operator

// What faults do, and how each ends.
extension World {
    func schedule(_ fault: Fault) {
        if case .redisLosesASecond = fault.kind { after(fault.at_us - 1_000_000 - now_us) { self.keepRedis() } }
        after(fault.at_us - now_us) { [self] in
            timeline.add("! \(fault)")
            checks.isPristine = false
            checks.figures.faults += 1
            let end = strike(fault)
            if fault.lasts_us > 0 { after(fault.lasts_us) { end() } }
        }
    }

    private var messagingServers: [ServerModel] { substrate.living.filter { $0.life.id.kind == .messaging } }

    private func pick(_ number: Int, among servers: [ServerModel]) -> [ServerModel] { servers.isEmpty ? [] : [servers[number % servers.count]] }
    private func messaging(_ number: Int) -> [ServerModel] { pick(number, among: messagingServers) }
    private func share(_ percent: Int) -> [ServerModel] {
        Array(messagingServers.shuffled(using: &random).prefix(max(1, messagingServers.count * percent / 100))).sorted { $0.life < $1.life }
    }
    private func zone(_ number: Int) -> String { spec.zones.isEmpty ? "" : spec.zones[number % spec.zones.count] }

    /// - Returns: what ends it.
    private func strike(_ fault: Fault) -> () -> Void {
        switch fault.kind {
        case .kill(let number): return kill(messaging(number))
        case .killAny(let number): return kill(pick(number, among: substrate.living))
        case .killNamed(let id): return kill(substrate.living.filter { $0.life.id == id })
        case .killShare(let percent): return kill(share(percent))
        case .killZone(let number): return spec.zones.isEmpty ? kill(messaging(number)) : kill(substrate.living.filter { $0.zone == zone(number) })
        case .killZoneNamed(let zone): return kill(substrate.living.filter { $0.zone == zone })
        case .killEverything: return kill(substrate.living)
        case .hang(let number): return hang(messaging(number))
        case .hangShare(let percent): return hang(share(percent))
        case .leaves(let number):
            for server in messaging(number) where server.works { server.askToStop() }
            return {}
        case .reborn(let number): return reborn(messaging(number))
        case .twin(let number): return twin(messaging(number))
        case .deaf(let number): return deafen(pick(number, among: substrate.living))
        case .serverWithoutRedis(let number): return cut(messaging(number), redis: true, operators: false)
        case .serverWithoutOperators(let number): return cut(messaging(number), redis: false, operators: true)
        case .serverAlone(let number): return cut(messaging(number), redis: true, operators: true)
        case .serverWithoutLog(let number): return cutFromLog(messaging(number))
        case .zoneWithoutLog(let number): return cutFromLog(messagingServers.filter { $0.zone == zone(number) })
        case .seemsShut(let number):
            for server in messaging(number) {
                server.seemsShut()
                portShut(server)
            }
            return {}
        case .operatorsWithoutServers(let refuses):
            probesCut += 1
            probesRefused += refuses ? 1 : 0
            return {
                self.probesCut -= 1
                self.probesRefused -= refuses ? 1 : 0
                self.probesCut_us = self.now_us
            }
        case .zoneWithoutRedis(let number): return cutZones([zone(number)])
        case .allServersWithoutRedis: return cutZones(spec.zones.isEmpty ? [""] : spec.zones)
        default: return strikeOperators(fault) ?? strikeRedis(fault) ?? strikeClimate(fault)
        }
    }

    private func kill(_ servers: [ServerModel]) -> () -> Void {
        for server in servers { server.exit("signal 9 (Killed) ended it") }
        return {}
    }

    private func hang(_ servers: [ServerModel]) -> () -> Void {
        for server in servers {
            timeline.add("\(server.life.id) hangs")
            server.hang()
        }
        return { for server in servers { server.resume() } }
    }

    private func reborn(_ servers: [ServerModel]) -> () -> Void {
        for server in servers {
            timeline.add("\(server.life.id) is another now")
            server.vanish()
            after(random.pick(1_000...50_000)) { [self] in
                guard !substrate.living.contains(where: { $0.life.id == server.life.id }) else { return }
                let order = StartOrder(server.life.id, zone: server.zone, why: "its name comes back")
                let template = spec.template(restarts: redis.wishes.restarts)
                start(ServerLife(server.life.id, newIncarnation()), order, template, by: operators[0])
            }
        }
        return {}
    }

    private func twin(_ servers: [ServerModel]) -> () -> Void {
        var twins: [ServerModel] = []
        for server in servers {
            let order = StartOrder(server.life.id, zone: server.zone, why: "somebody starts another of its name")
            let life = ServerLife(server.life.id, newIncarnation())
            start(life, order, spec.template(restarts: redis.wishes.restarts), by: operators[0])
            if let twin = substrate.server(life) { twins.append(twin) }
        }
        // One that is born mute at such a time stays so.
        let silenced = twins.filter { !$0.isMute }
        for twin in silenced { twin.isMute = true }
        return { for twin in silenced { twin.isMute = false } }
    }

    private func deafen(_ servers: [ServerModel]) -> () -> Void {
        for server in servers { server.deaf += 1 }
        return {
            for server in servers {
                server.deaf -= 1
                server.read()
            }
        }
    }

    private func cut(_ servers: [ServerModel], redis: Bool, operators: Bool) -> () -> Void {
        let change = { (count: Int) in
            for server in servers {
                if redis {
                    server.cutsFromRedis += count
                    server.cutFromRedis_us = self.now_us
                }
                if operators {
                    server.cutsFromOperators += count
                    server.cutFromOperators_us = self.now_us
                }
            }
        }
        for server in servers { timeline.add("\(server.life.id) is cut off") }
        change(1)
        return {
            change(-1)
            self.listenAgain()
        }
    }

    private func cutFromLog(_ servers: [ServerModel]) -> () -> Void {
        for server in servers {
            timeline.add("\(server.life.id) reads nothing")
            server.loseLog()
        }
        return { for server in servers { server.findLog() } }
    }

    private func cutZones(_ zones: [String]) -> () -> Void {
        for zone in zones { cut(zone: zone, 1) }
        return { for zone in zones { self.cut(zone: zone, -1) } }
    }

    private func strikeOperators(_ fault: Fault) -> (() -> Void)? {
        switch fault.kind {
        case .operatorWithoutRedis(let number):
            let each = operators[number % operators.count]
            each.cutsFromRedis += 1
            return {
                each.cutsFromRedis -= 1
                self.listenAgain()
            }
        case .operatorWithoutDriver(let number):
            let each = operators[number % operators.count]
            each.cutsFromDriver += 1
            each.later(1_000) { each.hearUnsure() }
            return {
                each.cutsFromDriver -= 1
                each.later(1_000) { each.hearUnsure() }
            }
        case .operatorWithoutLog(let number):
            let each = operators[number % operators.count]
            each.cutsFromLog += 1
            return { each.cutsFromLog -= 1 }
        case .operatorDies(let number, let keepsFolder):
            let each = operators[number % operators.count]
            each.die(keepsFolder: keepsFolder)
            return { each.start() }
        case .operatorHangs(let number):
            let each = operators[number % operators.count]
            each.pause()
            return { each.resume() }
        default: return nil
        }
    }

    private func strikeRedis(_ fault: Fault) -> (() -> Void)? {
        switch fault.kind {
        case .redisAway(let refuses): return takeRedisAway(refuses: refuses) {}
        case .redisLosesASecond: return takeRedisAway(refuses: true) { self.restoreRedis() }
        case .redisLosesEverything: return takeRedisAway(refuses: true) { self.emptyRedis() }
        case .redisClock(let jump_ms):
            let shift = { (jump_ms: Int64) in
                self.redisClockShift_ms += jump_ms
                self.redisClockJumped_us = self.now_us
            }
            shift(jump_ms)
            return { shift(-jump_ms) }
        case .lostReplies: return during(\.lostReplies)
        default: return nil
        }
    }

    private func takeRedisAway(refuses: Bool, _ back: @escaping () -> Void) -> () -> Void {
        redisAway += 1
        redisRefuses = refuses
        return { [self] in
            redisAway -= 1
            back()
            if redisIsUp { listenAgain() }
        }
    }

    private func during(_ count: WritableKeyPath<Climate, Int>) -> () -> Void {
        climate[keyPath: count] += 1
        return { self.climate[keyPath: count] -= 1 }
    }

    private func strikeClimate(_ fault: Fault) -> () -> Void {
        switch fault.kind {
        case .slowNetwork: return during(\.slowNetwork)
        case .startsFail: return during(\.startsFail)
        case .slowWarming: return during(\.slowWarming)
        case .kafkaAway: return during(\.kafkaAway)
        case .notices: return notices(.late)
        case .doubledNotices: return notices(.doubled)
        case .lostNotices: return notices(.lost)
        case .slowBirths: return births(.slow)
        case .noBirths: return births(.never)
        case .muteBirths: return births(.mute)
        case .crashingBirths: return births(.crashes)
        case .youngDeaths: return births(.diesYoung)
        case .drain, .drainZone, .moveByHand, .takeBack, .upgrade, .restart, .rolloutPaused, .autoscale, .load, .heat: return strikePeople(fault)
        case .topicAnew: climate.topicIsNew = true
        case .scale(let servers): wish { $0.messaging.servers = servers }
        case .standbys(let count): wish { $0.messaging.standbys = min(count, $0.messaging.servers) }
        case .failover(let lease_ms):
            wish {
                $0.failover.lease = .milliseconds(lease_ms)
                $0.failover.heartbeat = .milliseconds(lease_ms / 3)
            }
        default: break
        }
        return {}
    }

    private func strikePeople(_ fault: Fault) -> () -> Void {
        switch fault.kind {
        case .drain(let number): for server in messaging(number) { ask(.drain(server.life.id)) }
        case .drainZone(let number): if !spec.zones.isEmpty { ask(.drainZone(zone(number))) }
        case .moveByHand(let number): moveByHand(number)
        case .takeBack: ask(.takeBack)
        case .restart: ask(.restart)
        case .rolloutPaused:
            pausesUnderWay += 1
            ask(.pause)
            return {
                self.pausesUnderWay -= 1
                if self.pausesUnderWay == 0 { self.ask(.resume) }
            }
        case .upgrade:
            wish { spec in
                guard case .process(var process) = spec.run else { return }
                process.environment["VERSION"] = "\((process.environment["VERSION"].flatMap { Int($0) } ?? 0) + 1)"
                spec.run = .process(process)
            }
        case .autoscale(let isOn):
            wish { spec in
                let servers = spec.messaging.servers
                var scale = MessagingSpec.Autoscale(min: max(1, servers / 2), max: servers + servers / 2)
                scale.targetConnections = 20_000
                (scale.up, scale.down) = (.seconds(5), .seconds(20))
                spec.messaging.autoscale = isOn ? scale : nil
            }
        case .load(let percent): setLoad(percent: percent)
        case .heat(let partition, let times):
            heat(partition, times: times)
            return { self.heat(partition, times: 1) }
        default: break
        }
        return {}
    }

    private func notices(_ notices: Climate.Notices) -> () -> Void {
        climate.notices = notices
        return { self.climate.notices = .prompt }
    }

    private func births(_ birth: Climate.Birth) -> () -> Void {
        climate.birth = birth
        return { self.climate.endBirth(in: self) }
    }

    private func wish(_ change: (inout CellSpec) -> Void) {
        var new = spec
        change(&new)
        new.messaging.standbys = min(new.messaging.standbys, new.messaging.servers)
        if new != spec { wish(new) }
    }
}
