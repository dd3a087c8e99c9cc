import Blackboard
import Cell

/// What is to be done for a Cell object, as Redis is. Pure, and doing it twice changes nothing, so that several operators may do it.
enum CellObjectStep: Equatable, Sendable {
    case addFinalizer
    case removeFinalizer
    /// Writes the spec over that of this generation; 0 makes the cell.
    case put(json: String, replacing: Int64)
    case markDeleted
}

struct CellObjectPlan: Sendable {
    var steps: [CellObjectStep] = []
    /// Why its spec does not hold; nil when it does.
    var problem: String?
    /// Redis has the spec of this very object.
    var isApplied = false

    /// - Parameter pods: whether any pod of the cell is left; nil when nobody asked.
    init(_ object: CellObject, stored: StoredSpec?, pods: Bool?) {
        guard !object.isLeaving else {
            guard object.hasFinalizer else { return }
            if let stored, !stored.isDeleted { steps = [.markDeleted] }
            // A Redis that lost the cell gets it back from its operator, as long as servers are there.
            if stored == nil, pods == false { steps = [.removeFinalizer] }
            return
        }
        if !object.hasFinalizer { steps.append(.addFinalizer) }
        let spec: CellSpec
        do throws(SpecProblems) { spec = try object.wished() } catch {
            problem = error.words
            return
        }
        guard let stored else {
            steps.append(.put(json: spec.canonicalJSON, replacing: 0))
            return
        }
        guard !stored.isDeleted else {
            problem = "the cell is being deleted by cellctl; it is made anew as soon as it is gone"
            return
        }
        guard stored.json != spec.canonicalJSON else {
            isApplied = true
            return
        }
        // One that another build wrote may not be readable by this one; then there is nothing to compare with.
        if let old = try? CellSpec.read(json: stored.json, source: "Redis") {
            let refused = CellSpec.refusedChanges(from: old, to: spec)
            guard refused.isEmpty else {
                problem = refused.map(\.description).joined(separator: "; ")
                return
            }
        }
        steps.append(.put(json: spec.canonicalJSON, replacing: stored.generation))
    }
}
