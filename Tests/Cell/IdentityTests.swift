import Cell
import Support
import Testing

@Suite("names and numbers")
struct IdentityTests {
    @Test(
        "cells are DNS labels",
        arguments: [
            ("eu-1", true), ("a", true), ("no", true), (String(repeating: "a", count: 40), true), ("", false), ("1a", false), ("-a", false), ("a-", false),
            ("A", false),
            ("a_b", false), ("a.b", false), ("ä", false), (String(repeating: "a", count: 41), false), ("a b", false), ("a\n", false),
        ])
    func cells(_ text: String, _ isValid: Bool) { #expect((CellName(text) != nil) == isValid) }

    @Test(
        "servers are a kind and a number",
        arguments: [
            ("messaging-3", true), ("connect-1", true), ("backplane-10000", true), ("messaging-0", false), ("messaging--1", false), ("messaging-01", false),
            ("messaging-+1", false),
            ("messaging", false), ("messaging-", false), ("-1", false), ("other-1", false), ("messaging-1 ", false), ("messaging-99999999999999999999", false),
        ])
    func servers(_ text: String, _ isValid: Bool) {
        #expect(ServerID(text)?.description == (isValid ? text : nil))
    }

    @Test("servers sort by number, not by text")
    func order() {
        let names = ["messaging-10", "messaging-2", "connect-3"].compactMap { ServerID($0) }.sorted().map(\.description)
        #expect(names == ["connect-3", "messaging-2", "messaging-10"])
    }

    @Test(
        "users are decimal, from 1 to 2^64 - 1",
        arguments: [
            ("1", true), ("18446744073709551615", true), ("0", false), ("", false), ("01", false), ("+1", false), ("-1", false), ("1.0", false),
            ("18446744073709551616", false),
            ("1 ", false), ("٣", false), ("x", false),
        ])
    func users(_ text: String, _ isValid: Bool) { #expect(UserID(text)?.description == (isValid ? text : nil)) }

    @Test(
        "a user's partition is FNV-1a 64 of its 8 little-endian bytes, modulo",
        arguments: [
            (UInt64(1), UInt64(9_929_646_806_074_584_996), 516), (42, 18_391_255_480_883_862_255, 255), (1_000_000, 1_011_632_231_655_643_464, 504),
            (.max, 10_157_053_723_145_373_757, 157),
        ])
    func partitions(_ user: UInt64, _ hash: UInt64, _ partition: Int) throws {
        let id = try #require(UserID(user))
        #expect(id.hash == hash)
        #expect(id.partition(of: 720) == Partition(partition))
        #expect(id.partition(of: 1) == Partition(0))
    }

    @Test("incarnations are letters, digits and hyphens; random ones are sixteen hex digits")
    func incarnations() {
        for text in ["0", "abc-DEF-9", String(repeating: "f", count: 64)] { #expect(Incarnation(text)?.description == text) }
        for text in ["", "a b", "ä", "a/b", String(repeating: "f", count: 65)] { #expect(Incarnation(text) == nil) }
        var generator = SeededRandom(1)
        let random = (0..<100).map { _ in Incarnation.random(using: &generator) }
        #expect(Set(random).count == 100)
        #expect(random.allSatisfy { $0.description.count == 16 && $0.description.allSatisfy(\.isHexDigit) })
    }
}

@Suite("UUIDv7")
struct UUIDv7Tests {
    @Test(
        "only version 7 and its variant are one, in any writing",
        arguments: [
            ("01890a5d-ac96-774b-bcce-b302099a8057", true), ("01890A5D-AC96-774B-BCCE-B302099A8057", true), ("01890a5d-ac96-474b-bcce-b302099a8057", false),
            ("01890a5d-ac96-774b-7cce-b302099a8057", false), ("01890a5dac96774bbcceb302099a8057", false), ("01890a5d-ac96-774b-bcce-b302099a805", false),
            ("", false),
            ("+1890a5d-ac96-774b-bcce-b302099a8057", false), ("01890a5d-ac96-774b-bcce-+302099a8057", false), ("g1890a5d-ac96-774b-bcce-b302099a8057", false),
        ])
    func texts(_ text: String, _ isValid: Bool) {
        #expect(UUIDv7(text)?.description == (isValid ? text.lowercased() : nil))
    }

    @Test("bytes are big-endian, and sixteen")
    func bytes() throws {
        let id = try #require(UUIDv7("01890a5d-ac96-774b-bcce-b302099a8057"))
        #expect(id.bytes == [0x01, 0x89, 0x0a, 0x5d, 0xac, 0x96, 0x77, 0x4b, 0xbc, 0xce, 0xb3, 0x02, 0x09, 0x9a, 0x80, 0x57])
        #expect(id.time_ms == 0x0189_0a5d_ac96)
        #expect(UUIDv7(bytes: id.bytes) == id)
        for count in [0, 15, 17] { #expect(UUIDv7(bytes: Array((id.bytes + id.bytes).prefix(count))) == nil) }
    }

    @Test("one made at a time carries it, and sorts by it")
    func times() {
        var generator = SeededRandom(7)
        let times: [Int64] = [0, 1, 1_764_000_000_000, (1 << 48) - 1]
        let ids = times.map { UUIDv7(time_ms: $0, using: &generator) }
        #expect(ids.map(\.time_ms) == times)
        #expect(ids.sorted() == ids)
        for id in ids { #expect(UUIDv7(high: id.high, low: id.low) == id && UUIDv7(id.description) == id && UUIDv7(bytes: id.bytes) == id) }
    }
}
