/// Blocks of memory in powers of two from 256 bytes, for what one loop cannot finish within a tick. Loop thread only.
///
/// A quiet connection owns no block, so what is kept here is what the busiest moment needed, at most `retained` bytes of it.
final class BlockPool {
    static let smallest = 256
    private static let classes = 13  // 256 B … 1 MiB; larger ones are not kept
    private var free: [[UnsafeMutableRawPointer]] = Array(repeating: [], count: classes)
    private var freeBytes = 0
    private let retained: Int
    /// Bytes of the blocks that are in use.
    private(set) var usedBytes = 0

    init(retained: Int = 4 << 20) {
        self.retained = retained
    }

    deinit {
        for blocks in free { for block in blocks { block.deallocate() } }
    }

    /// A block of at least `count` bytes, and its capacity.
    func take(_ count: Int) -> (UnsafeMutableRawPointer, Int) {
        let index = Self.index(count)
        let capacity = Self.smallest << index
        usedBytes += capacity
        if index < Self.classes, let block = free[index].popLast() {
            freeBytes -= capacity
            return (block, capacity)
        }
        return (.allocate(byteCount: capacity, alignment: 16), capacity)
    }

    func give(_ block: UnsafeMutableRawPointer, capacity: Int) {
        let index = Self.index(capacity)
        usedBytes -= capacity
        guard index < Self.classes, freeBytes + capacity <= retained else { return block.deallocate() }
        freeBytes += capacity
        free[index].append(block)
    }

    private static func index(_ count: Int) -> Int {
        count <= smallest ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount - 8
    }
}
