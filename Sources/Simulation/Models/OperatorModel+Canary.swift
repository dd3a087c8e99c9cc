import Cell
import Operator

// Probes through the log, as the reconciler writes them: beside the plan, which looks at what came of them.
extension OperatorModel {
    func probeLog() {
        guard world.isLogProbed, observed.redisBack != nil, !observed.deleted, let log = observed.assignment.log, observed.log.serves, let spec else { return }
        let due = observed.canary.due(of: spec.partitions, now: now)
        // While brokers are away everything waits; more of it would say nothing more.
        guard !due.isEmpty, probesQueued.isEmpty else { return }
        probesQueued = due
        writeProbes(to: log)
    }

    /// The producer tries until it can.
    private func writeProbes(to log: LogID) {
        later(world.probeDelay_us()) { [self] in
            guard observed.assignment.log == log else { return probesQueued = [] }
            guard reachesLog else { return later(500_000) { self.writeProbes(to: log) } }
            let written = probesQueued.map { (partition: $0, offset: world.log.append(to: $0)) }
            probesQueued = []
            acknowledge(written, of: log)
        }
    }

    private func acknowledge(_ written: [(partition: Partition, offset: Int64)], of log: LogID) {
        later(world.probeDelay_us()) { [self] in
            guard reachesLog else { return later(500_000) { self.acknowledge(written, of: log) } }
            for (partition, offset) in written { observed.canary.wrote(partition, at: offset, of: log, now: now) }
        }
    }

    private var reachesLog: Bool { cutsFromLog == 0 && world.climate.kafkaAway == 0 }
}
