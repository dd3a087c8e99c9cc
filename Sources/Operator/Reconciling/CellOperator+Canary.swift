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
                prober = try LogProber(target) { [errand] written in errand.yield { await self.wrote(written, to: log) } }
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

    private func wrote(_ written: [(partition: Int32, offset: Int64)], to log: LogID) {
        for (partition, offset) in written { observed.canary.wrote(Partition(partition), at: offset, of: log, now: now) }
    }
}
