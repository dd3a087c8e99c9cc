import Cell

/// Servers under dense numbers, in the order in which they came, so that a plan keeps what it knows of them in flat arrays.
///
/// An open-addressing table: a plan looks servers up very often, their numbers tell them apart, and a dictionary's hashing would cost more than all the rest.
struct Places: Sendable {
    private(set) var names: [ServerID] = []
    /// A name's place, or -1, at the slot that its hash leads to, or the next free one.
    private var slots: [Int32]

    /// - Parameter expected: how many there will be.
    init(expecting expected: Int) {
        var width = 16
        while width < expected * 2 { width *= 2 }
        slots = Array(repeating: -1, count: width)
        names.reserveCapacity(expected)
    }

    var count: Int { names.count }

    subscript(name: ServerID) -> Int? {
        let place = slots[slot(of: name)]
        return place < 0 ? nil : Int(place)
    }

    /// The place of `name`, a new one when it has none yet.
    mutating func add(_ name: ServerID) -> Int {
        let slot = slot(of: name)
        guard slots[slot] < 0 else { return Int(slots[slot]) }
        slots[slot] = Int32(names.count)
        names.append(name)
        if names.count * 2 > slots.count { widen() }
        return names.count - 1
    }

    /// All places, by name.
    func sorted() -> [Int] { names.indices.sorted { names[$0] < names[$1] } }

    private mutating func widen() {
        slots = Array(repeating: -1, count: slots.count * 2)
        for (place, name) in names.enumerated() { slots[slot(of: name)] = Int32(place) }
    }

    private func slot(of name: ServerID) -> Int {
        let mask = slots.count - 1
        // Fibonacci hashing (Knuth, TAOCP 3, 6.4).
        let hash = (UInt64(truncatingIfNeeded: name.number) &* 8 &+ name.kind.ordinal) &* 0x9e37_79b9_7f4a_7c15
        var slot = Int(truncatingIfNeeded: hash >> 32) & mask
        while slots[slot] >= 0, names[Int(slots[slot])] != name { slot = (slot + 1) & mask }
        return slot
    }
}

extension ServerKind {
    fileprivate var ordinal: UInt64 {
        switch self {
        case .backplane: 0
        case .materialize: 1
        case .history: 2
        case .messaging: 3
        case .connect: 4
        }
    }
}
