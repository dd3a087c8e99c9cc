import Testing

/// Runs of random input, seeded: `FUZZ_SECONDS` says for how long (2 s by default), `FUZZ_SEED` with which first seed. The seed of a failure is printed.
public enum Fuzz {
    /// Tries `body` with one seed after the other; it returns what is wrong, or nil. A round that takes
    /// longer than 5 s each of three times is a hang: the machine may hold up one, hardly the same one again and again.
    public static func run(_ name: String, atLeast rounds: Int = 10, _ body: (inout SeededRandom) async throws -> String?) async rethrows {
        let first = environment("FUZZ_SEED").flatMap { UInt64($0) } ?? UInt64.random(in: 1...1_000_000_000)
        let end = ContinuousClock.now + .seconds(environment("FUZZ_SECONDS").flatMap { Int($0) } ?? 2)
        // Said before, since a trap says nothing.
        print("fuzz \(name): from FUZZ_SEED=\(first)")
        var seed = first, before = 0
        while ContinuousClock.now < end || seed < first + UInt64(rounds) {
            if let problem = try await round(seed, body) {
                Issue.record("FUZZ_SEED=\(seed): \(name): \(problem)")
                return
            }
            seed += 1
            if seed == first + 1_000 { before = resident_KiB() }
        }
        let grown = before == 0 ? 0 : resident_KiB() - before
        print("fuzz \(name): \(seed - first) rounds from FUZZ_SEED=\(first), grown by \(grown) KiB")
        #expect(grown < 128 << 10, "\(name) keeps memory")
    }

    private static func round(_ seed: UInt64, _ body: (inout SeededRandom) async throws -> String?) async rethrows -> String? {
        var least = Duration.seconds(3_600)
        for _ in 0..<3 where least > .seconds(5) {
            var random = SeededRandom(seed)
            let began = ContinuousClock.now
            if let problem = try await body(&random) { return problem }
            least = min(least, began.duration(to: .now))
        }
        return least > .seconds(5) ? "took \(least)" : nil
    }

    private static func resident_KiB() -> Int {
        let line = text(ofFile: "/proc/self/status").split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }
}

/// What fuzzers draw.
extension SeededRandom {
    public mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
    public mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    public mutating func bytes(upTo most: Int) -> [UInt8] { (0..<number(0...most)).map { _ in UInt8.random(in: 0...255, using: &self) } }

    /// A number at the edge of something more often than not.
    public mutating func edge() -> Int64 {
        let edges: [Int64] = [
            .min, .min + 1, -1 << 53, -1 << 31, -1, 0, 1, 2, 255, 65_536, Int64(Int32.max), 1 << 31, 1 << 40, 1 << 53, 1 << 62, .max - 1, .max,
        ]
        return chance(70) ? edges[number(0...edges.count - 1)] : Int64.random(in: -1_000...100_000, using: &self)
    }

    /// `bytes` with some of them changed, cut, doubled or inserted.
    public mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<number(1...6) {
            guard !bytes.isEmpty else { return self.bytes(upTo: 20) }
            let at = number(0...bytes.count - 1)
            switch number(0...4) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &self)
            case 1: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &self)
            case 2: bytes.removeSubrange(at..<min(bytes.count, at + number(1...8)))
            case 3: bytes.insert(contentsOf: self.bytes(upTo: 6), at: at)
            default:
                let from = number(0...bytes.count - 1)
                bytes.insert(contentsOf: bytes[from..<min(bytes.count, from + number(1...40))], at: at)
            }
        }
        return bytes
    }

    /// JSON or YAML with numbers put to their edges, then perhaps bytes changed.
    public mutating func mutatedText(_ text: String) -> String {
        var result = ""
        var digits = ""
        for character in text + "\u{0}" {
            if character.isNumber {
                digits.append(character)
                continue
            }
            if !digits.isEmpty {
                result += chance(25) ? "\(edge())" : digits
                digits = ""
            }
            if character != "\u{0}" { result.append(character) }
        }
        return chance(50) ? result : String(decoding: mutated(Array(result.utf8)), as: UTF8.self)
    }
}
