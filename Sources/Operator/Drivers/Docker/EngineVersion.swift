/// A version of the Engine API, such as 1.41.
struct EngineVersion: Comparable, Hashable, Sendable, CustomStringConvertible {
    var major: Int
    var minor: Int

    init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let major = parts[0], let minor = parts[1], major >= 0, minor >= 0 else { return nil }
        self.init(major, minor)
    }

    static func < (a: EngineVersion, b: EngineVersion) -> Bool { (a.major, a.minor) < (b.major, b.minor) }
    var description: String { "\(major).\(minor)" }

    /// What this driver speaks: nothing that it uses changed between the two.
    static let oldest = EngineVersion(1, 24)
    static let newest = EngineVersion(1, 52)

    /// The newest version that both speak.
    ///
    /// - Parameters:
    ///   - newest: the engine's own version.
    ///   - oldest: the oldest that it still accepts; engines before API 1.25 do not tell.
    static func common(newest: EngineVersion, oldest: EngineVersion?) throws(DriverError) -> EngineVersion {
        let common = min(newest, Self.newest)
        guard common >= Self.oldest else {
            throw DriverError("the Docker Engine speaks API \(newest) at most, and this operator \(Self.oldest) at least", remedy: "Update the engine.")
        }
        guard common >= oldest ?? common else {
            throw DriverError(
                "the Docker Engine speaks API \(oldest ?? newest) at least, and this operator \(Self.newest) at most", remedy: "Update cell-operator.")
        }
        return common
    }
}
