import Cell

/// Something that goes wrong, or that people do, at a moment of virtual time.
///
/// Servers are meant by a number: of those that run then, by name, the one at that place, counted around.
public struct Fault: Sendable, Equatable, CustomStringConvertible {
    public enum Kind: Sendable, Equatable {
        case kill(Int)
        /// Any kind of server, not only messaging.
        case killAny(Int)
        case killNamed(ServerID)
        /// So many percent of the messaging servers at once.
        case killShare(Int)
        case killZone(Int)
        case killZoneNamed(String)
        case killEverything
        case hang(Int)
        case hangShare(Int)
        case leaves(Int)
        /// It dies, and its name comes back with another incarnation.
        case reborn(Int)
        /// Somebody starts another of its name, which says nothing for so long.
        case twin(Int)
        case deaf(Int)
        case serverWithoutRedis(Int)
        case zoneWithoutRedis(Int)
        case allServersWithoutRedis
        case serverWithoutOperators(Int)
        /// Its consumer hangs, or it reaches no broker: it renews its lease and reads nothing.
        case serverWithoutLog(Int)
        case zoneWithoutLog(Int)
        case operatorWithoutLog(Int)
        /// Whether the probes are refused at once, or not answered.
        case operatorsWithoutServers(refuses: Bool)
        /// From Redis and from the operators.
        case serverAlone(Int)
        /// Something between a messaging server and the operators breaks their connection and refuses another, in its name, once.
        case seemsShut(Int)
        case operatorWithoutRedis(Int)
        case operatorWithoutDriver(Int)
        case operatorDies(Int, keepsFolder: Bool)
        case operatorHangs(Int)
        case redisAway(refuses: Bool)
        case redisLosesASecond
        case redisLosesEverything
        case redisClock(jump_ms: Int64)
        case lostReplies
        case slowNetwork
        case notices(late: Bool)
        case doubledNotices
        case lostNotices
        case slowBirths
        case noBirths
        case muteBirths
        case crashingBirths
        case youngDeaths
        case startsFail
        case slowWarming
        case kafkaAway
        case topicAnew
        case scale(servers: Int)
        case standbys(Int)
        case failover(lease_ms: Int64)
        /// What people ask for: a messaging server or a zone drains, some partitions go to another owner, and all that is taken back.
        case drain(Int)
        case drainZone(Int)
        case moveByHand(Int)
        case takeBack
        /// Another template, or the same one again, for every server.
        case upgrade
        case restart
        case rolloutPaused
        /// By connections, from half to one and a half times as many servers as there are; or no more.
        case autoscale(Bool)
        case load(percent: Int)
        /// One partition's clients are so many times as many.
        case heat(partition: Int, times: Int)

        /// People's doing after which nothing is moved twice. A rollout and a zone's drain replace one server after another, and balance follows each.
        var isByPeople: Bool {
            switch self {
            case .scale, .drain, .moveByHand: true
            default: false
            }
        }
    }

    public var kind: Kind
    public var at_us: Int64
    /// For what ends by itself; zero for what happens at once.
    public var lasts_us: Int64

    public init(_ kind: Kind, at_us: Int64, lasts_us: Int64 = 0) {
        self.kind = kind
        self.at_us = at_us
        self.lasts_us = lasts_us
    }

    public var end_us: Int64 { at_us + lasts_us }
    public var description: String { lasts_us > 0 ? "\(words) for \(Double(lasts_us / 1_000) / 1_000) s" : words }

    private var words: String {
        switch kind {
        case .kill: "a messaging server is killed"
        case .killAny: "a server is killed"
        case .killNamed(let id): "\(id) is killed"
        case .killShare(let percent): "\(percent)% of the messaging servers are killed"
        case .killZone: "a zone is lost"
        case .killZoneNamed(let zone): "zone \(zone) is lost"
        case .killEverything: "every server is killed"
        case .hang: "a messaging server hangs"
        case .hangShare(let percent): "\(percent)% of the messaging servers hang"
        case .leaves: "a messaging server is told to stop by somebody else"
        case .reborn: "a messaging server dies, and its name comes back"
        case .twin: "another server of the name of one that lives is started, and says nothing"
        case .deaf: "a server's subscription to Redis is gone"
        case .serverWithoutRedis: "a messaging server is cut off from Redis"
        case .zoneWithoutRedis: "a zone is cut off from Redis"
        case .allServersWithoutRedis: "every server is cut off from Redis"
        case .serverWithoutOperators: "a messaging server is cut off from the operators"
        case .serverWithoutLog: "a messaging server reads nothing of the log"
        case .zoneWithoutLog: "a zone is cut off from the log"
        case .operatorWithoutLog: "an operator is cut off from the log"
        case .operatorsWithoutServers(let refuses): refuses ? "health probes are refused" : "no health probe arrives"
        case .serverAlone: "a messaging server is cut off from Redis and the operators"
        case .seemsShut: "a messaging server's connections to the operators are refused in its name"
        case .operatorWithoutRedis: "an operator is cut off from Redis"
        case .operatorWithoutDriver: "an operator's driver cannot be asked"
        case .operatorDies(_, let keeps): "an operator dies\(keeps ? "" : ", and its state folder is lost"), and comes back"
        case .operatorHangs: "an operator is stopped (SIGSTOP)"
        case .redisAway(let refuses): refuses ? "Redis is down" : "Redis does not answer"
        case .redisLosesASecond: "Redis comes back as it was a second ago"
        case .redisLosesEverything: "Redis comes back empty"
        case .redisClock(let jump): "Redis's clock jumps by \(jump) ms"
        case .lostReplies: "answers of Redis to operators are lost"
        case .slowNetwork: "the network is slow"
        case .notices: "the driver tells late of ends"
        case .doubledNotices: "the driver tells twice of ends"
        case .lostNotices: "the driver tells nothing of ends"
        case .slowBirths: "servers take long to be ready"
        case .noBirths: "servers never become ready"
        case .muteBirths: "servers start and say nothing"
        case .crashingBirths: "servers exit as they start"
        case .youngDeaths: "servers die soon after they are ready"
        case .startsFail: "the driver cannot start servers"
        case .slowWarming: "the log is slow to read"
        case .kafkaAway: "Kafka is away"
        case .topicAnew: "the topic is made anew"
        case .scale(let servers): "messaging.servers: \(servers) is applied"
        case .standbys(let count): "messaging.standbys: \(count) is applied"
        case .failover(let lease): "failover.lease: \(lease)ms is applied"
        case .drain: "a messaging server is to drain"
        case .drainZone: "a zone is to drain"
        case .moveByHand: "partitions are moved by hand"
        case .takeBack: "drains and moves by hand are taken back"
        case .upgrade: "another template is applied"
        case .restart: "every server is to be restarted"
        case .rolloutPaused: "rollouts are paused"
        case .autoscale(let isOn): isOn ? "messaging.autoscale is applied" : "messaging.autoscale is taken out"
        case .load(let percent): "\(percent)% of the usual clients are there"
        case .heat(let partition, let times): "partition \(partition) has \(times) times the usual clients"
        }
    }
}
