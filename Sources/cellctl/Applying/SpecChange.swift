import Blackboard
import Cell
import YAML

/// What applying a cell does to what Redis holds. Pure.
enum SpecChange: Equatable {
    case create
    /// Of the generation named.
    case configure(Int64)
    case unchanged(Int64)

    var word: String {
        switch self {
        case .create: "created"
        case .configure: "configured"
        case .unchanged: "unchanged"
        }
    }

    /// - Throws: `SpecProblems` when the change is one that a living cell cannot make, `Failure` when the cell is on its way out or unreadable.
    static func of(_ wish: WishedCell, to stored: StoredSpec?) throws -> SpecChange {
        guard let stored else { return .create }
        let name = wish.spec.name
        guard !stored.isDeleted else {
            throw Failure(.failed, "cell \(name) is being deleted", remedy: "Wait until it is gone (cellctl delete cell \(name) --wait), then apply it again")
        }
        guard stored.json != wish.spec.canonicalJSON else { return .unchanged(stored.generation) }
        // A spec that an older or newer build wrote may not be readable by this one; then there is nothing to compare with.
        guard let old = try? CellSpec.read(json: stored.json, source: "Redis") else { return .configure(stored.generation) }
        let refused = CellSpec.refusedChanges(from: old, to: wish.spec)
        guard refused.isEmpty else {
            throw SpecProblems(refused.map { SpecProblem(wish.document.mark(at: $0.path), $0.path, $0.problem, remedy: $0.remedy) })
        }
        return .configure(stored.generation)
    }
}

extension Session {
    /// Writes the cell, unless somebody else's change keeps coming in between.
    ///
    /// - Parameter adopting: servers that live without a spec go on under this one.
    /// - Returns: what it did, and the generation that says so.
    func put(_ wish: WishedCell, adopting: Bool = false) async throws -> (change: SpecChange, generation: Int64) {
        let board = board(wish.spec.name)
        for attempt in 1... {
            let change = try SpecChange.of(wish, to: try await board.spec())
            do {
                switch change {
                case .unchanged(let generation): return (change, generation)
                case .create: return (change, try await board.putSpec(wish.spec.canonicalJSON, replacing: 0, adopting: adopting))
                case .configure(let generation): return (change, try await board.putSpec(wish.spec.canonicalJSON, replacing: generation))
                }
            } catch let error as BlackboardError {
                guard case .generation = error.code, attempt < 5 else { throw error }
            }
        }
        preconditionFailure("the loop above ends by itself")
    }
}
