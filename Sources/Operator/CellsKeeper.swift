import Blackboard
import Cell
import Redis

/// Serves all cells of one Redis, or some: one reconciler for each, beside each other.
public struct CellsKeeper: Sendable {
    public let context: OperatorContext
    /// Empty: all that Redis knows, and those of the state folder that Redis may have forgotten.
    public let only: Set<CellName>

    public init(_ context: OperatorContext, only: Set<CellName> = []) {
        self.context = context
        self.only = only
    }

    private enum Happening: Sendable {
        case look
        case ended(CellName)
    }

    /// Until the task is cancelled; servers go on.
    public func run() async throws {
        let listener = try CellsListener(at: context.redis.address)
        let (happenings, happening) = AsyncStream.makeStream(of: Happening.self)
        await withDiscardingTaskGroup { group in
            group.addTask { for await _ in listener.changes { happening.yield(.look) } }
            group.addTask {
                // What nobody told us.
                while !Task.isCancelled {
                    happening.yield(.look)
                    try? await Task.sleep(for: .seconds(3))
                }
            }
            var served: Set<CellName> = []
            for await event in happenings {
                switch event {
                case .ended(let cell): served.remove(cell)
                case .look:
                    for cell in await cells().subtracting(served) {
                        served.insert(cell)
                        group.addTask {
                            await CellOperator(cell, context).run()
                            happening.yield(.ended(cell))
                        }
                    }
                }
            }
        }
        listener.close()
        happening.finish()
    }

    private func cells() async -> Set<CellName> {
        if !only.isEmpty { return only }
        let known = (try? await CellBlackboard.cells(on: context.redis)) ?? []
        return Set(known).union(context.folder.cells())
    }
}
