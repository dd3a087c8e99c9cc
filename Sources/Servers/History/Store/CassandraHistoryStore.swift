import Cassandra
import Cell
import Synchronization

/// The history in Cassandra.
///
///     inbox           (log, owner, bucket)        offset ↓   the row
///     dialog          (log, owner, peer, bucket)  offset ↓   the row
///     inbox_buckets   (log, owner)                bucket ↓   which buckets there are
///     dialog_buckets  (log, owner, peer)          bucket ↓
///     hours           (log, part)                 hour ↓     the first offset
///     progress        (log, part)                            through, time_ms
///
/// Logs are UUIDs; users are the bits of signed numbers.
public final class CassandraHistoryStore: HistoryStore {
    public struct Options: Sendable {
        public var keyspace: String
        /// Only where the keyspace is made.
        public var replicationFactor: Int
        public var write: Consistency
        public var read: Consistency
        /// Statements on their way at once for one batch.
        public var parallelWrites = 64

        public init(keyspace: String, replicationFactor: Int = 3, write: Consistency = .localQuorum, read: Consistency = .localQuorum) {
            self.keyspace = keyspace
            self.replicationFactor = replicationFactor
            self.write = write
            self.read = read
        }
    }

    let session: CassandraSession
    let options: Options
    let statements: Statements
    let known = Mutex<[LogID: KnownBuckets]>([:])

    /// Throws `wrongValue` for a keyspace that is no plain name. A cluster that cannot be reached is no error here.
    public init(_ session: CassandraSession, _ options: Options) throws(CassandraError) {
        guard Self.isName(options.keyspace) else {
            throw CassandraError(.wrongValue, "the keyspace “\(options.keyspace)” is not 1 to 48 of a-z, 0-9 and _, beginning with a letter")
        }
        self.session = session
        self.options = options
        statements = Statements(options.keyspace)
    }

    private static func isName(_ text: String) -> Bool {
        (1...48).contains(text.utf8.count) && text.first.map { ("a"..."z").contains($0) } == true
            && text.allSatisfy { ("a"..."z").contains($0) || ("0"..."9").contains($0) || $0 == "_" }
    }

    public func close() { session.close() }

    /// The statements, each with its columns by name.
    struct Statements: Sendable {
        let insertInbox, insertDialog, insertInboxBucket, insertDialogBucket, insertHour, insertProgress: PreparedStatement
        let inbox, dialog, inboxBuckets, dialogBuckets, hourNotBefore, hourNotAfter, progress: PreparedStatement

        init(_ keyspace: String) {
            let row = "offset, id, sender, receiver, time_ms, body"
            func statement(_ text: String) -> PreparedStatement { PreparedStatement(text) }
            insertInbox = statement("INSERT INTO \(keyspace).inbox (log, owner, bucket, \(row)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
            insertDialog = statement("INSERT INTO \(keyspace).dialog (log, owner, peer, bucket, \(row)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            insertInboxBucket = statement("INSERT INTO \(keyspace).inbox_buckets (log, owner, bucket) VALUES (?, ?, ?)")
            insertDialogBucket = statement("INSERT INTO \(keyspace).dialog_buckets (log, owner, peer, bucket) VALUES (?, ?, ?, ?)")
            insertHour = statement("INSERT INTO \(keyspace).hours (log, part, hour, first) VALUES (?, ?, ?, ?)")
            insertProgress = statement("INSERT INTO \(keyspace).progress (log, part, through, time_ms) VALUES (?, ?, ?, ?) USING TIMESTAMP ?")
            let span = "bucket = ? AND offset >= ? AND offset < ? LIMIT ?"
            inbox = statement("SELECT \(row) FROM \(keyspace).inbox WHERE log = ? AND owner = ? AND \(span)")
            dialog = statement("SELECT \(row) FROM \(keyspace).dialog WHERE log = ? AND owner = ? AND peer = ? AND \(span)")
            let buckets = "bucket >= ? AND bucket <= ? LIMIT ?"
            inboxBuckets = statement("SELECT bucket FROM \(keyspace).inbox_buckets WHERE log = ? AND owner = ? AND \(buckets)")
            dialogBuckets = statement("SELECT bucket FROM \(keyspace).dialog_buckets WHERE log = ? AND owner = ? AND peer = ? AND \(buckets)")
            let hours = "SELECT hour, first FROM \(keyspace).hours WHERE log = ? AND part = ? AND hour"
            hourNotBefore = statement("\(hours) >= ? ORDER BY hour ASC LIMIT 1")
            hourNotAfter = statement("\(hours) <= ? ORDER BY hour DESC LIMIT 1")
            progress = statement("SELECT through, time_ms FROM \(keyspace).progress WHERE log = ? AND part = ?")
        }
    }
}

extension LogID {
    var cql: CQLValue { .uuid(uuid.bytes) }
}

extension UserID {
    /// Cassandra's numbers are signed; the bits are kept.
    var cql: CQLValue { .bigint(Int64(bitPattern: value)) }
}
