import Testing

@testable import Cassandra

func hex(_ text: String) -> [UInt8] {
    let digits = Array(text.utf8).compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// All whole frames of `bytes`, fed in pieces of `piece` bytes.
func frames(_ bytes: [UInt8], piece: Int = .max, limit: Int = 1 << 20) throws -> [Frame] {
    var reader = FrameReader(limit: limit)
    var found: [Frame] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        Array(rest.prefix(piece)).withUnsafeBytes { reader.append($0) }
        rest = rest.dropFirst(piece)
        while let frame = try reader.next() { found.append(frame) }
    }
    return found
}

@Suite struct FrameTests {
    static let emptyPage = hex("84000007080000001a0000000200000006000000010000000601020304050600000000")
    static let lastPage = hex("84000007080000001c0000000200000004000000010000000100000008000000000000002a")
    static let unprepared = hex(
        "84000005000000003c00002500002470726570617265642073746174656d656e74206973206e6f74206b6e6f776e20686572650010000102030405060708090a0b0c0d0e0f")
    static let preparedAnew = hex(
        "840000050800000037000000040010ffffffffffffffffffffffffffffffff000000010000000000000000000465755f310005696e626f780000000400000000")

    @Test("frames are the same however the bytes arrive", arguments: [1, 2, 3, 8, 9, 10, 35, 1000])
    func pieces(_ piece: Int) throws {
        let found = try frames(Self.emptyPage + Self.lastPage + Self.unprepared, piece: piece)
        #expect(found.map(\.stream) == [7, 7, 5])
        #expect(found.map(\.opcode) == [.result, .result, .error])
    }

    @Test("a page without rows says that there is more")
    func empty() throws {
        let response = try Response(frames(Self.emptyPage)[0])
        #expect(response == .rows(Rows(columns: [Column(name: "", type: .blob)], values: [], next: PagingState(bytes: [1, 2, 3, 4, 5, 6]))))
    }

    @Test("rows whose layout was not sent stay bytes")
    func withoutMetadata() throws {
        guard case .rows(let rows) = try Response(frames(Self.lastPage)[0]) else { throw CassandraError(.malformed, "no rows") }
        #expect(rows.next == nil)
        #expect(try rows.rows[0].bytes(0) == [0, 0, 0, 0, 0, 0, 0, 42])
        #expect(throws: CassandraError.self) { try rows.rows[0].bigint(0) }
    }

    @Test("unprepared is a code of its own, and the new id is read")
    func preparing() throws {
        let found = try frames(Self.unprepared + Self.preparedAnew)
        #expect(try Response(found[0]) == .error(CassandraError(.unprepared, "prepared statement is not known here")))
        #expect(try Response(found[1]) == .prepared(.init(id: [UInt8](repeating: 0xff, count: 16), types: [])))
    }

    static let refused: [(name: String, bytes: [UInt8])] = [
        ("another version", hex("83000000020000000000")),
        ("a request from the node", hex("04000000070000000000")),
        ("an unknown opcode", hex("840000007f00000000")),
        ("a length of 2 GiB", hex("84000000087fffffff")),
        ("a negative length", hex("8400000008ffffffff")),
    ]

    @Test("a header that cannot be is refused before anything is set aside for it", arguments: refused.indices)
    func header(_ index: Int) {
        let (name, bytes) = Self.refused[index]
        #expect(throws: CassandraError.self, "\(name)") { try frames(bytes) }
    }

    static let malformed: [(name: String, opcode: Frame.Opcode, flags: UInt8, body: String)] = [
        ("an empty result", .result, 0, ""),
        ("an unknown kind", .result, 0, "00000009"),
        ("more rows than bytes", .result, 0, "00000002 00000004 00000001 7fffffff"),
        ("negative rows", .result, 0, "00000002 00000004 00000001 ffffffff"),
        ("many rows of no columns", .result, 0, "00000002 00000004 00000000 7fffffff"),
        ("more columns than bytes", .result, 0, "00000002 00000001 0000ffff 0001 61 0001 62"),
        ("a cell longer than the frame", .result, 0, "00000002 00000004 00000001 00000001 00000100 00"),
        ("a text longer than the frame", .error, 0, "00000000 ffff 61"),
        ("a short bigint", .result, 0, "00000002 00000001 00000001 0001 61 0001 62 0001 63 0002 00000001 00000002 0001"),
        ("lists 1,000 deep", .result, 0, "00000002 00000001 00000001 0001 61 0001 62 0001 63" + String(repeating: " 0020", count: 1000)),
        ("a compressed frame", .ready, 1, ""),
        ("warnings that are not there", .ready, 8, "0005"),
        ("an opcode of requests", .query, 0, ""),
    ]

    @Test("a body that cannot be is an error, never a trap", arguments: malformed.indices)
    func body(_ index: Int) {
        let row = Self.malformed[index]
        let frame = Frame(flags: row.flags, stream: 0, opcode: row.opcode, body: hex(row.body))
        #expect(throws: CassandraError.self, "\(row.name)") { try Response(frame) }
    }

    @Test("any bytes at all are read or refused", arguments: [UInt64(1), 2, 3])
    func noise(_ seed: UInt64) {
        var state = seed
        func random() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        let opcodes: [Frame.Opcode] = [.error, .result, .supported, .authenticate]
        for round in 0..<3_000 {
            var body = (0..<Int(random() % 60)).map { _ in random() % 8 }
            if round % 2 == 0 { body = [0, 0, 0, 2 + random() % 3] + body }
            _ = try? Response(Frame(flags: random() & 0x0e, stream: 0, opcode: opcodes[Int(random() % 4)], body: body))
        }
    }

    @Test("an error's details are in its words")
    func details() throws {
        let body = hex("00001000 0001 78 0006 00000002 00000001")
        guard case .error(let error) = try Response(Frame(stream: 1, opcode: .error, body: body)) else { throw CassandraError(.malformed, "no error") }
        #expect(error.code == .unavailable)
        #expect(
            error.description
                == "cassandra: unavailable: x (LOCAL_QUORUM needs 2 replicas, 1 are alive). Bring nodes back, or lower store.cassandra.consistency")
    }

    @Test("a request's bytes")
    func request() {
        let request = Request.execute(
            [0xAB], [.bigint(-2), .text("é"), .null], StatementOptions(consistency: .localQuorum, page: PageRequest(size: 50, after: PagingState(bytes: [9]))))
        let expected =
            "04 00 0102 0a 00000030" + "0001 ab" + "0006" + "0d" + "0003" + "00000008 fffffffffffffffe" + "00000002 c3a9" + "ffffffff" + "00000032"
            + "00000001 09"
        let bytes = hex(expected)
        #expect(Frame.request(request, stream: 0x0102) == bytes.prefix(5) + [0, 0, 0, UInt8(bytes.count - 9)] + bytes.dropFirst(9))
    }

    @Test(
        "a value and its type",
        arguments: [
            (CQLValue.bigint(.min), CQLType.bigint), (.int(-1), .int), (.smallint(300), .smallint), (.tinyint(-3), .tinyint), (.boolean(true), .boolean),
            (.double(2.5), .double), (.text("héllo"), .text), (.blob([]), .blob), (.timestamp(1_764_000_000_000), .timestamp),
            (.uuid([UInt8](repeating: 7, count: 16)), .timeuuid), (.null, .int),
        ])
    func values(_ value: CQLValue, _ type: CQLType) throws {
        var writer = Writer()
        value.write(into: &writer)
        var cursor = Cursor(writer.bytes)
        #expect(try CQLValue(try cursor.optionalBytes(), type) == value)
        #expect(value.suits(type))
    }

    @Test(
        "endpoints",
        arguments: [
            ("10.0.0.1:19042", Endpoint(host: "10.0.0.1", port: 19042)), ("db.example.org", Endpoint(host: "db.example.org", port: 9042)),
            ("[::1]:9043", Endpoint(host: "::1", port: 9043)), ("::1", Endpoint(host: "::1", port: 9042)), ("[::1]", Endpoint(host: "::1", port: 9042)),
            ("", nil), (":9042", nil), ("a:0", nil), ("a:70000", nil), ("[::1", nil), ("a:b", nil),
        ] as [(String, Endpoint?)])
    func endpoints(_ text: String, _ endpoint: Endpoint?) { #expect(Endpoint(text) == endpoint) }
}
