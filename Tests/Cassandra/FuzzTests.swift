import Support
import Testing

@testable import Cassandra

/// See `Fuzz` for how long and with which seed.
@Suite("frames of a strange node", .serialized)
struct CQLFuzzTests {
    private static let bodies: [(Frame.Opcode, [UInt8])] = [
        (.ready, []), (.supported, hex("0001 0001 61 0001 0001 62")), (.authenticate, hex("0003 616263")), (.authSuccess, hex("ffffffff")),
        (.error, hex("00002500 0003 626164 0002 0102")), (.error, hex("00001001 0001 61")),
        (.error, hex("00001300 0001 61 0001 00000001 00000002 00000001 01")),
        (.result, hex("00000001")), (.result, hex("00000003 0001 61")), (.result, hex("00000005 0001 61 0001 62 0001 63")),
        (
            .result,
            hex("00000002 00000001 00000002 0001 73 0001 6c 0001 76 0002 0001 77 000d 00000002 00000008 0000000000000007 00000001 61 ffffffff 00000002 6161")
        ),
        (.result, hex("00000002 00000003 00000001 00000004 01020304 0001 73 0001 6c 0001 76 0022 0003 00000000")),
        (.result, hex("00000004 0002 0102 00000001 00000001 00000001 0000 0001 73 0001 6c 0001 76 0009 00000004 00000000")),
    ]

    @Test("no frame traps, hangs, or makes the reader set aside what was only promised")
    func cql() async throws {
        await Fuzz.run("cql") { random in
            var reader = FrameReader(limit: 1 << 20)
            var bytes: [UInt8] = []
            for _ in 0..<random.number(1...4) {
                let (opcode, body) = Self.bodies[random.number(0...Self.bodies.count - 1)]
                let changed = random.chance(80) ? random.mutated(body) : body
                let length = random.chance(90) ? changed.count : Int(UInt32.random(in: 0...UInt32.max, using: &random))
                let flags: UInt8 = random.chance(80) ? 0 : UInt8.random(in: 0...255, using: &random)
                bytes += [0x84, flags, 0, UInt8(random.number(0...9)), opcode.rawValue] + (0..<4).map { UInt8(length >> (24 - 8 * $0) & 255) } + changed
            }
            if random.chance(20) { bytes = random.mutated(bytes) }
            do throws(CassandraError) {
                while !bytes.isEmpty {
                    let piece = Array(bytes.prefix(random.number(1...64)))
                    bytes.removeFirst(piece.count)
                    piece.withUnsafeBytes { reader.append($0) }
                    while let frame = try reader.next() { try Self.read(frame) }
                }
            } catch {
                if error.what.isEmpty { return "an error without words" }
            }
            return nil
        }
    }

    private static func read(_ frame: Frame) throws(CassandraError) {
        var handshake = Handshake(credentials: Credentials(user: "a", password: "b"))
        let response: Response
        do throws(CassandraError) { response = try Response(frame) } catch { return }
        _ = handshake.received(response)
        guard case .rows(let rows) = response else { return }
        for row in rows.rows {
            for column in 0..<rows.columns.count + 1 {
                _ = try? row.bigint(column)
                _ = try? row.text(column)
            }
        }
    }
}
