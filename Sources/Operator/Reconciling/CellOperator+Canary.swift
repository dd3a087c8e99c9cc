import Cell

// Probes through the log: written beside the plan, which looks at what came of them.
extension CellOperator {
    func probeLog(_ spec: CellSpec) {
        context.metrics.observe(observed.canary, of: cell)
        guard observed.redisBack != nil, !observed.deleted, let log = observed.assignment.log, let target = LogProber.Target(spec, observed.assignment) else {
            return
        }
        if case .kafka = target, !observed.log.serves { return }
        let due = observed.canary.due(of: spec.partitions, now: now)
        guard !due.isEmpty else { return }
        if prober == nil || proberBackplane != target || proberLog != log {
            prober?.close()
            proberBackplane = target
            proberLog = log
            do {
                prober = try LogProber(target, context.clock)
            } catch {
                prober = nil
                context.log.warning("\(cell): the log is not probed: \(error)")
            }
        }
        if prober?.write(to: due, nonce: observed.assignment.term.value.magnitude, now_ms: context.clock.unix_ms) == false {
            prober?.close()
            prober = nil
        }
    }

    /// Takes in what the log has by now, before anybody's reading is looked at.
    func heedProbes() {
        guard let prober, let log = proberLog else { return }
        for probe in prober.takeWritten() { observed.canary.wrote(probe.partition, at: probe.offset, of: log, now: probe.at) }
    }
}
