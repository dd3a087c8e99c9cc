import Cell
import Synchronization
import Web

/// What an operator counts, and the last it told of each cell.
public final class OperatorMetrics: Sendable {
    public let metrics = Metrics()
    private let cells = Mutex<[CellName: CellStatus]>([:])
    /// Of probes through each cell's log.
    private let delays = Mutex<[CellName: [Partition: Duration]]>([:])
    private let publishing: Histogram
    private let publications: Counter

    public init() {
        publishing = metrics.histogram("cell_operator_publish_seconds", "How long publishing an assignment took.")
        publications = metrics.counter("cell_operator_publications_total", "Assignments published.")
    }

    func published(_ duration: Duration) {
        publications.add()
        publishing.observe(duration)
    }

    func observe(_ status: CellStatus, of cell: CellName) {
        cells.withLock { $0[cell] = status }
        let name = cell.description
        metrics.gauge("cell_epoch", "The assignment's epoch.", ["cell": name]).set(status.epoch.value)
        for state in ["starting", "ready", "cutOff", "stopping", "dead"] {
            let count = status.servers.count { $0.state.rawValue == state }
            metrics.gauge("cell_servers", "Servers by state.", ["cell": name, "state": state]).set(Int64(count))
        }
        for condition in status.conditions {
            metrics.gauge("cell_condition", "1 while the condition is True.", ["cell": name, "type": condition.type.rawValue])
                .set(condition.status == .yes ? 1 : 0)
        }
    }

    func observe(_ canary: Canary, of cell: CellName) {
        let new = delays.withLock { delays in
            let known = delays.updateValue(canary.delays, forKey: cell)
            // At rest all of thousands are known.
            return known?.count == canary.delays.count ? [] : canary.delays.keys.filter { known?[$0] == nil }
        }
        for partition in new {
            metrics.read(
                "cell_partition_delay_milliseconds", "From a probe's place in the log to the report that its owner has read it, the last time.",
                ["cell": cell.description, "partition": partition.description]
            ) { [weak self] in
                Double(self?.delays.withLock { $0[cell]?[partition]?.milliseconds } ?? 0)
            }
        }
    }

    public var statuses: [CellName: CellStatus] { cells.withLock { $0 } }
}
