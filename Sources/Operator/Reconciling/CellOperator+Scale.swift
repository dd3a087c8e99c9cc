import Blackboard
import Cell

// How many messaging servers an autoscaled cell has.
extension CellOperator {
    /// Looks at the load, and decides. The decision counts once it is in Redis, where the next operator finds it.
    func autoscale(_ spec: CellSpec) async {
        guard let scale = spec.messaging.autoscale, let election, observed.redisBack != nil else {
            observed.loads = LoadHistory()
            return
        }
        observed.loads.observe(observed.load, scale, now: now)
        let current = observed.scaledTo ?? spec.messaging.servers
        let wanted = observed.loads.decision(scale, current: current, now: now)
        guard wanted != observed.scaledTo else { return }
        do {
            try await board.write(scale: wanted, as: election)
            observed.scaledTo = wanted
            guard wanted != current else { return }
            let load = observed.load.map { "\($0.clients) clients and \($0.messages) messages a second" } ?? "the bounds"
            tell(Note("Scaled", nil, "\(wanted) messaging servers instead of \(current), for \(load)"))
        } catch {
            stumble(error)
        }
    }
}
