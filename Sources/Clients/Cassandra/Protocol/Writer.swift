/// Writes the protocol's notations.
struct Writer {
    private(set) var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }
    mutating func short(_ value: UInt16) { number(value) }
    mutating func int(_ value: Int32) { number(value) }
    mutating func long(_ value: Int64) { number(value) }

    private mutating func number<N: FixedWidthInteger>(_ value: N) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func string(_ text: String) {
        let utf8 = Array(text.utf8.prefix(Int(UInt16.max)))
        short(UInt16(utf8.count))
        bytes += utf8
    }

    mutating func longString(_ text: String) {
        let utf8 = Array(text.utf8)
        int(Int32(clamping: utf8.count))
        bytes += utf8
    }

    mutating func shortBytes(_ value: [UInt8]) {
        short(UInt16(clamping: value.count))
        bytes += value.prefix(Int(UInt16.max))
    }

    mutating func longBytes(_ value: [UInt8]) {
        int(Int32(clamping: value.count))
        bytes += value
    }

    mutating func stringMap(_ map: [(String, String)]) {
        short(UInt16(clamping: map.count))
        for (key, value) in map {
            string(key)
            string(value)
        }
    }
}
