import Cell

/// How long servers of one kind that keep dying young wait before the next is started.
///
/// Deaths count one after another: those of servers that lived at the same time are one, so that the loss of a whole zone of young servers is no loop.
/// They are over when a server that was started after the last of them lives and is not young any more, or when nobody has died for a while:
/// where fewer servers are asked for, none is started that could prove it.
struct CrashLoop: Equatable, Sendable {
    /// A server that was ready and lived longer proves that its kind can live.
    static let youth = Duration.seconds(10)
    static let first = Duration.milliseconds(500)
    static let longest = Duration.seconds(30)
    /// Of a death.
    static let memory = Duration.seconds(120)

    /// Young deaths in a row.
    let deaths: Int
    /// No start before; nil when at once.
    let waitUntil: Moment?
    /// Of the last death.
    let reason: String

    init(_ kind: ServerKind, _ observed: ObservedCell, _ standings: Standings, now: Moment) {
        var deaths = 0
        var last: ServerExit?
        for exit in observed.exits where exit.life.id.kind == kind && !exit.asked {
            if let at = last?.at, exit.at - at > Self.memory { (deaths, last) = (0, nil) }
            if exit.wasReady, exit.at - exit.started >= Self.youth {
                deaths = 0
                last = nil
            } else if last.map({ exit.started >= $0.at }) ?? true {
                deaths += 1
                last = exit
            }
        }
        if let at = last?.at, now - at > Self.memory || standings.of(kind).contains(where: { Self.proves($0, after: at, observed, now) }) {
            (deaths, last) = (0, nil)
        }
        self.deaths = deaths
        reason = last?.reason ?? ""
        // The first young death is forgiven: somebody may have killed it.
        guard let last, deaths > 1 else {
            waitUntil = nil
            return
        }
        let doubled = (0..<(deaths - 2)).reduce(Self.first) { wait, _ in min(Self.longest, wait * 2) }
        waitUntil = last.at + doubled
    }

    private static func proves(_ standing: Standing, after death: Moment, _ observed: ObservedCell, _ now: Moment) -> Bool {
        guard standing.isReady, let running = standing.running, running.started >= death else { return false }
        return observed.readySince[standing.life].map { now - $0 >= youth } ?? false
    }

    /// One at a time from now on.
    var isLoop: Bool { deaths > 1 }
}
