/// A kind of text, described by a pattern that Kubernetes understands too.
public struct TextForm: Sendable {
    /// With its article left out: "HOST:PORT", "path".
    public let what: String
    /// Regular expression for the whole text.
    public let pattern: String
    public let example: String

    /// Bytes of the longest text in a cell.yaml.
    static let longest = 4_096

    public func accepts(_ text: String) -> Bool {
        // The patterns are ours: one that does not compile is our own bug, and a test reads them all.
        guard text.utf8.count <= Self.longest, let regex = try? Regex("(?:\(pattern))") else { return false }
        return text.wholeMatch(of: regex) != nil
    }
}

extension TextForm {
    private static let port = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
    private static let hostName = #"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)"#
    private static let word63 = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"

    static let cellName = TextForm(
        what: "DNS label of at most 40 characters (a-z, 0-9, inner hyphens, a letter first)", pattern: "[a-z]([-a-z0-9]{0,38}[a-z0-9])?", example: "eu-1")
    static let hostPort = TextForm(what: "HOST:PORT", pattern: "\(hostName):\(port)", example: "127.0.0.1:9092")
    static let host = TextForm(what: "host name or address, without a port", pattern: hostName, example: "chat.example.org")
    static let topic = TextForm(
        what: "topic's name (letters, digits, . _ -, at most 249)", pattern: "[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}", example: "eu-1-messages")
    static let keyspace = TextForm(what: "keyspace's name (letters, digits, _, at most 48)", pattern: "[A-Za-z0-9_]{1,48}", example: "eu_1")
    static let path = TextForm(what: "path", pattern: #"[^\x00-\x1f]+"#, example: "/etc/cell/FILE")
    static let line = TextForm(what: "text in one line", pattern: #"[^\x00-\x1f]*"#, example: "text")
    static let word = TextForm(what: "text without spaces", pattern: #"[^\x00-\x20]+"#, example: "cell")
    static let zone = TextForm(what: "zone's name (letters, digits, . _ -, at most 63)", pattern: word63, example: "a")
    static let labelKey = TextForm(
        what: "label's name (letters, digits, . _ -, at most 63, after PREFIX/ if any)", pattern: "([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?\(word63)",
        example: "team")
    static let labelValue = TextForm(what: "label's value (letters, digits, . _ -, at most 63)", pattern: "(\(word63))?", example: "chat")
    static let image = TextForm(what: "image", pattern: "[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}", example: "cell:1.0")
    static let endpoint = TextForm(
        what: "unix:///PATH, tcp://HOST:PORT or https://HOST:PORT", pattern: #"(unix:///[^\x00-\x20]+|(tcp|http|https)://[^\x00-\x20/]+/?)"#,
        example: "unix:///var/run/docker.sock")
    static let network = TextForm(what: "network's name", pattern: "[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", example: "host")
    static let environmentName = TextForm(what: "variable's name (letters, digits, _)", pattern: "[A-Za-z_][A-Za-z0-9_]*", example: "TZ")
    static let volume = TextForm(
        what: "SOURCE:/TARGET, with :ro or :rw if need be", pattern: #"[^:\x00-\x20]+:/[^:\x00-\x20]*(:(ro|rw))?"#, example: "/etc/cell:/etc/cell:ro")
    static let dnsLabel = TextForm(what: "DNS label of at most 63 characters", pattern: "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", example: "chat")
    static let dnsName = TextForm(what: "DNS name", pattern: "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", example: "cell")
    static let property = TextForm(what: "librdkafka's property", pattern: "[a-z][a-z0-9.]*", example: "security.protocol")
}
