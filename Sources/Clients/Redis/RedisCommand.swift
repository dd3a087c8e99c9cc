/// A command and its arguments, for a pipeline.
public struct RedisCommand: Sendable, Equatable {
    /// The command's name first.
    public var arguments: [[UInt8]]

    public init(_ arguments: any RedisArgument...) {
        self.init(arguments: arguments)
    }

    public init(arguments: [any RedisArgument]) {
        self.arguments = arguments.map(\.redisBytes)
    }

    /// A script with its whole text, which no SCRIPT FLUSH, restart or failover can make unknown: what stands behind it in a pipeline
    /// never overtakes it.
    public init(_ script: RedisScript, keys: [String], arguments: [any RedisArgument] = []) {
        self.init(arguments: ["EVAL", script.text, keys.count] + keys + arguments)
    }

    /// Whether a script can have answered, so that an unknown code in an error is the script's own.
    var isScript: Bool {
        guard let name = arguments.first else { return false }
        let upper = String(decoding: name, as: UTF8.self).uppercased()
        return upper.hasPrefix("EVAL") || upper.hasPrefix("FCALL")
    }
}

/// A Lua script. It answers `redis.error_reply("CODE words")` for a refusal of its own: ``RedisError/Code/script(_:)``.
public struct RedisScript: Sendable, Hashable {
    public let text: String

    public init(_ text: String) {
        self.text = text
    }
}
