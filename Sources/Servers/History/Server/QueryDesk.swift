import Synchronization

/// Runs the queries of all loops, so many at once and no more.
final class QueryDesk: Sendable {
    typealias Work = @Sendable () async -> Void

    private let limit: Int
    private let count = Atomic<Int>(0)
    private let work: AsyncStream<Work>
    private let door: AsyncStream<Work>.Continuation

    init(limit: Int) {
        self.limit = limit
        (work, door) = AsyncStream.makeStream(of: Work.self, bufferingPolicy: .unbounded)
    }

    /// Queries that are being answered.
    var open: Int { count.load(ordering: .relaxed) }

    /// Has `item` done soon. False when there is too much to do already: then it never is.
    func take(_ item: @escaping Work) -> Bool {
        guard count.add(1, ordering: .relaxed).newValue <= limit else {
            count.subtract(1, ordering: .relaxed)
            return false
        }
        door.yield(item)
        return true
    }

    /// Answers until `close`, and what was taken before it.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await item in work {
                group.addTask {
                    await item()
                    self.count.subtract(1, ordering: .relaxed)
                }
            }
        }
    }

    func close() { door.finish() }
}
