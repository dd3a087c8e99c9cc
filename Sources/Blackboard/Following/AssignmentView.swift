import Cell

/// An assignment's place among all of its cell: by term, then by epoch.
public struct AssignmentVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let term: Term
    public let epoch: Epoch

    public init(term: Term, epoch: Epoch) {
        self.term = term
        self.epoch = epoch
    }

    public static func < (a: AssignmentVersion, b: AssignmentVersion) -> Bool { (a.term, a.epoch) < (b.term, b.epoch) }
    public var description: String { "epoch \(epoch) of term \(term)" }
}

extension Assignment {
    public var version: AssignmentVersion { AssignmentVersion(term: term, epoch: epoch) }
}

/// The newest assignment that a reader has seen. It never goes back, whatever Redis forgets. Pure.
///
///     delta that follows ──▶ applied
///     delta that does not, a notice, a renewal's answer, a client's word ──▶ behind: read the hash
///     the hash ──▶ taken when it is newer; ignored when it is absent, older or the same
package struct AssignmentView {
    package enum Outcome: Equatable { case changed, unchanged, behind }

    package private(set) var newest = Assignment()

    package init() {}

    package mutating func take(_ delta: AssignmentDelta) -> Outcome {
        guard AssignmentVersion(term: delta.term, epoch: delta.epoch) > newest.version else { return .unchanged }
        // A new term's first delta follows on what its leader read, which need not be what was read here.
        guard delta.term == newest.term, let next = newest.applying(delta) else { return .behind }
        newest = next
        return .changed
    }

    package mutating func take(read: Assignment?) -> Outcome {
        guard let read, read.version > newest.version else { return .unchanged }
        newest = read
        return .changed
    }

    /// Whether an assignment of this version is news.
    package func isBehind(_ version: AssignmentVersion) -> Bool { version > newest.version }
}
