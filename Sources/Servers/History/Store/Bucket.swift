/// A stretch of a log's offsets whose rows lie together in Cassandra. Its size is for the life of a store.
///
/// A partition of Cassandra should stay below 100 MB; one that belongs to a single busy user has at most 131,072 rows.
struct Bucket: Hashable, Comparable, Sendable {
    static let bits: Int64 = 17

    var number: Int64

    init(_ number: Int64) { self.number = number }
    init(of offset: Int64) { number = offset >> Self.bits }

    static func < (a: Bucket, b: Bucket) -> Bool { a.number < b.number }

    /// The buckets in which `offsets` (not empty) lie.
    static func range(of offsets: Range<Int64>) -> ClosedRange<Bucket> {
        Bucket(of: max(0, offsets.lowerBound))...Bucket(of: max(0, offsets.lowerBound, offsets.upperBound - 1))
    }
}

/// The order in which buckets are read until there are enough rows: one first, then four times as many at once each time.
///
/// A busy dialog has a page in its newest bucket; one with a message a year has each in another, and few turns reach them all.
struct BucketWalk: Sendable {
    /// Buckets read at once, at most.
    static let widest = 64
    /// Buckets listed at once: enough for the first turns.
    static let listing = 1 + 4 + 16 + 64

    private var width = 1

    /// How many buckets to read now.
    mutating func next() -> Int {
        defer { width = min(width * 4, Self.widest) }
        return width
    }
}

/// Which bucket rows this process has stored already, so that it does not store them again for each message. Bounded; forgetting costs
/// a write that changes nothing.
struct KnownBuckets: Sendable {
    struct Place: Hashable, Sendable {
        var key: HistoryKey
        var bucket: Bucket
    }

    static let limit = 200_000
    private var places: Set<Place> = []

    func missing(of places: Set<Place>) -> Set<Place> { places.subtracting(self.places) }

    mutating func add(_ stored: Set<Place>) {
        if places.count + stored.count > Self.limit { places = [] }
        places.formUnion(stored)
    }
}
