/// Bytes in the order they came, in one block of the loop's pool; without bytes it owns none.
///
/// Whoever holds a queue calls `removeAll` before dropping it: a struct has no `deinit`, and a class for each would cost every idle
/// stream 48 bytes more.
struct ByteQueue {
    private var block: UnsafeMutableRawPointer?
    private var capacity: UInt32 = 0
    private var head: UInt32 = 0
    private var tail: UInt32 = 0

    var count: Int { Int(tail - head) }
    var isEmpty: Bool { tail == head }

    /// The bytes, valid until the next change.
    var bytes: UnsafeRawBufferPointer {
        guard let block else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: block + Int(head), count: count)
    }

    /// Makes room for `count` more bytes at the end and returns it; the caller fills all of it.
    mutating func extend(_ count: Int, _ pool: BlockPool) -> UnsafeMutableRawPointer {
        let start: UnsafeMutableRawPointer
        if let block, Int(tail) + count <= Int(capacity) {
            start = block + Int(tail)
        } else {
            start = makeRoom(count, pool)
        }
        tail += UInt32(count)
        return start
    }

    /// Appends what `bytes` points to; it must not lie in this queue.
    mutating func append(_ bytes: UnsafeRawBufferPointer, _ pool: BlockPool) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        extend(bytes.count, pool).copyMemory(from: source, byteCount: bytes.count)
    }

    /// Forgets the first `count` bytes; the block goes back when none are left.
    mutating func drop(_ count: Int, _ pool: BlockPool) {
        head += UInt32(count)
        if head == tail { removeAll(pool) }
    }

    mutating func removeAll(_ pool: BlockPool) {
        if let block { pool.give(block, capacity: Int(capacity)) }
        self = ByteQueue()
    }

    private mutating func makeRoom(_ more: Int, _ pool: BlockPool) -> UnsafeMutableRawPointer {
        let count = count
        if let block, count + more <= Int(capacity) {
            block.copyMemory(from: block + Int(head), byteCount: count)
        } else {
            let (larger, room) = pool.take(count + more)
            if let block {
                larger.copyMemory(from: block + Int(head), byteCount: count)
                pool.give(block, capacity: Int(capacity))
            }
            block = larger
            capacity = UInt32(room)
        }
        head = 0
        tail = UInt32(count)
        return block! + count
    }
}
