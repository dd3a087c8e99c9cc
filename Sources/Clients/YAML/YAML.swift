import Cell

/// Reads YAML 1.1 by libyaml into `Node`s, each with its place in the file.
///
/// Scalars stay text: what they mean is for the reader of the nodes to say. Aliases are expanded and merge keys (`<<`) resolved, both
/// within `YAMLLimits`; duplicate keys are kept, for `Node.duplicateKeys()` to report together with everything else.
public enum YAML {
    /// The documents of `bytes`, without the empty ones.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8, or UTF-16 with a byte order mark.
    ///   - file: how problems name where the bytes come from.
    /// - Throws: the first place at which it is no YAML, or goes beyond the limits.
    public static func documents(in bytes: [UInt8], file: String, limits: YAMLLimits = YAMLLimits()) throws(SpecProblem) -> [Node] {
        guard bytes.count <= limits.bytes else {
            throw SpecProblem(
                Mark(file: file, line: 1, column: 1), "", "the file has more than \(limits.bytes) bytes",
                remedy: "A cell needs some thousand; give the file that describes it")
        }
        let composer = Composer(EventReader(try SourceText(bytes, file: file)), limits)
        return try composer.documents()
    }
}

/// What a file may cost its reader, also after its aliases are expanded.
public struct YAMLLimits: Sendable {
    public var bytes = 1 << 20
    /// How deep mappings and sequences may lie in each other.
    public var depth = 32
    /// Scalars, sequences and mappings of all documents together.
    public var nodes = 50_000
    public init() {}
}
