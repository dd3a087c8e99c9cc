import Cell
import Synchronization

extension CellSpec {
    /// Names what servers are started as: equal for equal `spec.run` and as many restarts asked for. A server of another one is to be replaced.
    ///
    /// FNV-1a 64 of the canonical JSON, in hex.
    public func template(restarts: Int) -> String { templateHash + (restarts > 0 ? "-\(restarts)" : "") }

    /// Every plan asks for it, and writing the JSON would cost as much as much of the plan.
    private var templateHash: String {
        if let hash = lastHash.withLock({ $0?.run == run ? $0?.hash : nil }) { return hash }
        let number = runJSON.description.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let hash = String(number, radix: 16)
        lastHash.withLock { $0 = (run, hash) }
        return hash
    }
}

/// Of the `spec.run` that was asked for last.
private let lastHash = Mutex<(run: RunSpec, hash: String)?>(nil)
