import Cell
import History

/// Notes that earlier logs have ended, once a later one is being read: nothing more of them comes.
///
/// Whoever had a partition before may still have rows on their way, so a log counts as ended when its progress has stood still for `quiet`.
struct EndedLogs: Sendable {
    private struct Open: Sendable {
        var log: LogID
        var partition: Partition
        var progress: HistoryProgress
    }

    private static let pause: Duration = .seconds(1)
    let store: any HistoryStore
    let quiet: Duration

    /// Ends `partitions` of every log before `log` in `chain`. Goes on until it has succeeded, or the task is cancelled.
    func end(_ partitions: [Int32], before log: LogID, in chain: LogChain) async {
        while !Task.isCancelled {
            do {
                var open: [Open] = []
                for partition in partitions { open += try await self.open(Partition(partition), before: log, in: chain) }
                if open.isEmpty { return }
                try await Task.sleep(for: quiet)
                for place in open where try await store.progress(place.log, place.partition) == place.progress {
                    try await store.advance(place.log, place.partition, to: .ended)
                }
            } catch {
                try? await Task.sleep(for: Self.pause)
            }
        }
    }

    /// Earlier logs without an end, the latest first. Where one has ended, those before it have too.
    private func open(_ partition: Partition, before log: LogID, in chain: LogChain) async throws -> [Open] {
        var open: [Open] = []
        var log = log
        while let previous = chain.log(before: log) {
            let progress = try await store.progress(previous, partition)
            if progress == .ended { break }
            open.append(Open(log: previous, partition: partition, progress: progress))
            log = previous
        }
        return open
    }
}
