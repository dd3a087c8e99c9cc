import Support

@testable import Streams

/// Random bytes that look like HTTP/2 often enough to get far.
enum FuzzFrames {
    static func bytes(_ random: inout SeededRandom, upTo most: Int) -> [UInt8] {
        (0..<Int.random(in: 0...most, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    static func chance(_ percent: Int, _ random: inout SeededRandom) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    static func headerBlock(_ random: inout SeededRandom, wild: Bool) -> [UInt8] {
        if wild, chance(30, &random) { return bytes(&random, upTo: 400) }
        let paths = ["Bidi", "Unary", "Count", "Fail", "Hang", "Pour", "Metadata", "Denied", "Nothing"]
        var extra: [(String, [UInt8])] = []
        if chance(20, &random) { extra.append(("grpc-timeout", chance(50, &random) ? Array("1n".utf8) : bytes(&random, upTo: 12))) }
        if chance(10, &random) { extra.append(("grpc-encoding", Array("gzip".utf8))) }
        if chance(20, &random) { extra.append(("x-data-bin", bytes(&random, upTo: 60))) }
        var block = RawPeer.requestBlock(path: Array("/test.Echo/\(paths.randomElement(using: &random)!)".utf8), extra: extra)
        if chance(30, &random) { block = [0x20] + block }
        mutate(&block, &random, percent: wild ? 15 : 3)
        return block
    }

    static func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom, percent: Int) {
        guard chance(percent, &random), !bytes.isEmpty else { return }
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
    }

    static func message(_ random: inout SeededRandom) -> [UInt8] {
        var message = RawPeer.message(chance(40, &random) ? Array("\(Int.random(in: 0...300, using: &random))".utf8) : bytes(&random, upTo: 300))
        mutate(&message, &random, percent: 5)
        return message
    }

    static func frame(_ random: inout SeededRandom, stream: UInt32, server: Bool) -> [UInt8] {
        switch Int.random(in: 0..<16, using: &random) {
        case 0...3:
            let block = server ? headerBlock(&random, wild: true) : responseBlock(&random)
            let flags: UInt8 = (chance(90, &random) ? 4 : 0) | (chance(20, &random) ? 1 : 0)
            return RawPeer.frame(1, flags, stream, block)
        case 4...8:
            let padded = chance(15, &random)
            var body = (0..<Int.random(in: 0...4, using: &random)).flatMap { _ in message(&random) }
            if chance(20, &random) { body = Array(body.prefix(Int.random(in: 0...max(1, body.count), using: &random))) }
            if padded { body = [UInt8.random(in: 0...20, using: &random)] + body }
            return RawPeer.frame(0, (padded ? 8 : 0) | (chance(10, &random) ? 1 : 0), stream, Array(body.prefix(16_384)))
        case 9: return RawPeer.frame(3, 0, stream, RawPeer.big32(UInt32.random(in: 0...15, using: &random)))
        case 10:
            let value = chance(80, &random) ? UInt32.random(in: 0...70_000, using: &random) : UInt32.random(in: 0...UInt32.max, using: &random)
            return RawPeer.frame(4, chance(20, &random) ? 1 : 0, 0, RawPeer.big16(UInt16.random(in: 0...7, using: &random)) + RawPeer.big32(value))
        case 11, 12: return RawPeer.frame(8, 0, chance(50, &random) ? 0 : stream, RawPeer.big32(UInt32.random(in: 0...100_000, using: &random)))
        case 13: return RawPeer.frame(6, chance(50, &random) ? 1 : 0, 0, [UInt8](repeating: 1, count: 8))
        case 14: return RawPeer.frame(7, 0, 0, RawPeer.big32(UInt32.random(in: 0...200, using: &random)) + RawPeer.big32(0))
        default:
            return RawPeer.frame(UInt8.random(in: 0...12, using: &random), UInt8.random(in: 0...255, using: &random), stream, bytes(&random, upTo: 60))
        }
    }

    static func responseBlock(_ random: inout SeededRandom) -> [UInt8] {
        if chance(15, &random) { return bytes(&random, upTo: 100) }
        var block: [UInt8] = []
        if chance(60, &random) { block += RawPeer.literal(":status", Array(["200", "404", "100", ""].randomElement(using: &random)!.utf8)) }
        block += RawPeer.literal("content-type", Array("application/grpc".utf8))
        if chance(50, &random) { block += RawPeer.literal("grpc-status", Array(["0", "5", "99", "x", "-1"].randomElement(using: &random)!.utf8)) }
        if chance(30, &random) { block += RawPeer.literal("grpc-message", bytes(&random, upTo: 50)) }
        mutate(&block, &random, percent: 10)
        return block
    }
}
