/// Numbers with units, as people write them.
public enum Quantity {
    /// Why a text is none.
    struct Refusal: Error {
        var problem: String
        var remedy: String
    }

    // MARK: durations: 500ms, 1.5s, 2m, 7d

    private static let durationUnits: [(name: String, ms: Int)] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]

    static func duration(_ text: String) throws(Refusal) -> Duration {
        let advice = "Write it like 500ms, 1.5s, 2m, 1h or 7d"
        let (number, unit) = split(text)
        guard !number.isEmpty else { throw Refusal(problem: "is no duration", remedy: advice) }
        guard !unit.isEmpty else { throw Refusal(problem: "has no unit", remedy: "Write \(text)ms or \(text)s") }
        guard let unit = durationUnits.first(where: { $0.name == unit }) else { throw Refusal(problem: "has no unit that is known", remedy: advice) }
        guard let ms = decimal(number, times: unit.ms) else { throw Refusal(problem: "is no whole number of milliseconds", remedy: advice) }
        return .milliseconds(ms)
    }

    /// `text` as a duration, written as in a cell.yaml; nil when it is none.
    public static func duration(of text: String) -> Duration? { try? duration(text) }

    /// In the largest unit that leaves no rest: 90s, 10m, 1500ms.
    public static func text(_ duration: Duration) -> String {
        let ms = duration.milliseconds
        guard ms != 0, let unit = durationUnits.last(where: { ms % Int64($0.ms) == 0 }) else { return "0s" }
        return "\(ms / Int64(unit.ms))\(unit.name)"
    }

    // MARK: sizes: 8Ki, 1Gi, 4096

    private static let sizeUnits: [(name: String, bytes: Int)] = [("", 1), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40)]

    static func bytes(_ text: String) throws(Refusal) -> Int {
        let advice = "Write it like 8Ki, 256Mi or 1Gi"
        let (number, unit) = split(text)
        guard !number.isEmpty else { throw Refusal(problem: "is no size", remedy: advice) }
        guard let known = sizeUnits.first(where: { $0.name == unit }) else {
            let letter = unit.first?.uppercased() ?? ""
            let near = sizeUnits.contains { $0.name == letter + "i" } ? "Write \(number)\(letter)i, which counts by 1,024" : advice
            throw Refusal(problem: "has a unit that is not used here", remedy: near)
        }
        guard let bytes = decimal(number, times: known.bytes) else { throw Refusal(problem: "is no whole number of bytes", remedy: advice) }
        return bytes
    }

    /// In the largest unit that leaves no rest: 8Ki, 1Gi, 1000.
    public static func text(bytes: Int) -> String {
        guard bytes != 0, let unit = sizeUnits.last(where: { bytes % $0.bytes == 0 }) else { return "0" }
        return "\(bytes / unit.bytes)\(unit.name)"
    }

    // MARK: percentages and cores

    static func percent(_ text: String) throws(Refusal) -> Int {
        guard text.hasSuffix("%"), let value = decimal(text.dropLast(), times: 1) else {
            let number = decimal(text[...], times: 1)
            throw Refusal(problem: "is no percentage", remedy: number.map { "Write \($0)%" } ?? "Write it like 25%")
        }
        return value
    }

    static func cores_milli(_ text: String) throws(Refusal) -> Int {
        let (number, unit) = split(text)
        guard unit.isEmpty || unit == "m", let value = decimal(number, times: unit.isEmpty ? 1_000 : 1) else {
            throw Refusal(problem: "is no number of cores", remedy: "Write it like 2, 0.5 or 500m")
        }
        return value
    }

    static func text(cores_milli: Int) -> String { cores_milli % 1_000 == 0 ? "\(cores_milli / 1_000)" : "\(cores_milli)m" }

    // MARK: digits

    private static func split(_ text: String) -> (number: Substring, unit: Substring) {
        let number = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        return (number, text[number.endIndex...])
    }

    /// `number` in decimal digits, with a fraction if need be, times `factor`; nil when that is no whole number, or a huge one.
    private static func decimal(_ number: Substring, times factor: Int) -> Int? {
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ (1...15).contains($0.utf8.count) && $0.utf8.allSatisfy { (48...57).contains($0) } }),
            parts[0] == "0" || parts[0].first != "0", let whole = Int(parts[0])
        else { return nil }
        let (product, overflow) = whole.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        guard parts.count == 2, let digits = Int(parts[1]) else { return product }
        let scale = parts[1].reduce(1) { scale, _ in scale * 10 }
        let (scaled, tooMuch) = digits.multipliedReportingOverflow(by: factor)
        guard !tooMuch, scaled % scale == 0 else { return nil }
        let (sum, over) = product.addingReportingOverflow(scaled / scale)
        return over ? nil : sum
    }
}
