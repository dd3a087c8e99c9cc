import Support
import Testing
@testable import Streams

/// Random peers, seeded: `FUZZ_SECONDS` says for how long (2 s by default), `FUZZ_SEED` with which first seed. The seed of a failure is printed.
///
/// `FUZZ_SECONDS=600 swift test --filter StreamsTests.FuzzTests`
@Suite("random peers", .serialized)
struct FuzzTests {
    private static let duration = Duration.seconds(environment("FUZZ_SECONDS").flatMap { Int($0) } ?? 2)
    private static let firstSeed = environment("FUZZ_SEED").flatMap { UInt64($0) } ?? UInt64.random(in: 1...1_000_000_000)

    private func run(_ name: String, _ body: (inout SeededRandom) -> String?) {
        let end = ContinuousClock.now + Self.duration
        var seed = Self.firstSeed, rounds = 0
        while ContinuousClock.now < end || rounds <= 10 {
            var random = SeededRandom(seed)
            if let problem = body(&random) {
                Issue.record("FUZZ_SEED=\(seed): \(name): \(problem)")
                return
            }
            seed += 1
            rounds += 1
        }
        print("fuzz \(name): \(rounds) rounds from FUZZ_SEED=\(Self.firstSeed)")
    }

    @Test("frames to a server: no trap, no growth, no overrun, every stream ends once")
    func frames() throws {
        let bench = try FuzzBench()
        run("frames") { bench.serve(&$0) }
    }

    @Test("frames to a client")
    func client() throws {
        let bench = try FuzzBench()
        run("client") { bench.call(&$0) }
    }

    @Test("header blocks")
    func hpack() {
        run("hpack") { random in
            let fields = HeaderFields()
            for decoder in [HeaderDecoder(), HeaderDecoder.withoutTable()] {
                let block = FuzzFrames.headerBlock(&random, wild: true)
                try? block.withUnsafeBytes { try decoder.decode($0, into: fields, limit: 65_536) }
                _ = fields.isWellFormed(pseudo: [":method", ":path"])
                if fields.listSize > 2 << 20 { return "a list of \(fields.listSize)" }
            }
            return nil
        }
    }

    @Test("texts, times, base64")
    func texts() {
        run("texts") { random in
            let bytes = FuzzFrames.bytes(&random, upTo: 3000)
            let text = String(decoding: bytes, as: UTF8.self)
            let once = StatusText.decode(StatusText.encode(text))
            if !text.unicodeScalars.starts(with: once.unicodeScalars) { return "a text changed" }
            if text.utf8.count <= StatusText.limit, once.utf8.count != text.utf8.count { return "a text was cut" }
            _ = StatusText.decode(bytes)
            _ = bytes.withUnsafeBytes { CallTimeout.decode($0) }
            if BinaryMetadata.decode(BinaryMetadata.encode(bytes)) != bytes { return "base64 changed" }
            _ = BinaryMetadata.decode(bytes)
            return nil
        }
    }
}
