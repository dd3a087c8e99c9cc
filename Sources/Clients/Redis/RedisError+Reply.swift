extension RedisError {
    /// The error that Redis's answer `text` (without its `-`) stands for.
    ///
    /// - Parameter script: whether a script was asked, so that a code that Redis does not know is the script's.
    init(reply text: String, at address: RedisAddress?, script: Bool) {
        let word = Self.code(of: text)
        // Redis before 7 wraps what a call in a script refused: "ERR Error running script (…): @user_script: 3: -READONLY You can't …".
        let inner = script && word == "ERR" ? Self.wrappedCode(in: text) : nil
        self.init(Code(word: inner ?? word, script: script), text, at: address)
    }

    /// The leading word when it is a code (upper case), else `ERR`.
    private static func code(of text: String) -> String {
        let word = text.prefix { $0 != " " }
        let isCode = !word.isEmpty && word.utf8.allSatisfy { (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "_") }
        return isCode ? String(word) : "ERR"
    }

    private static func wrappedCode(in text: String) -> String? {
        let parts = text.split(separator: ": -", omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].contains("@user_script") else { return nil }
        return code(of: String(parts[1]))
    }
}

extension RedisError.Code {
    fileprivate init(word: String, script: Bool) {
        switch word {
        case "NOAUTH": self = .noAuth
        case "WRONGPASS": self = .wrongPass
        case "NOPERM": self = .noPerm
        case "LOADING": self = .loading
        case "READONLY": self = .readOnly
        case "OOM": self = .outOfMemory
        case "BUSY": self = .busy
        case "WRONGTYPE": self = .wrongType
        case "MISCONF": self = .cannotPersist
        case "NOSCRIPT": self = .noScript
        case "ERR", "EXECABORT", "MASTERDOWN", "CLUSTERDOWN", "MOVED", "ASK", "CROSSSLOT", "TRYAGAIN", "NOREPLICAS", "UNKILLABLE", "NOGROUP", "BUSYGROUP",
            "NOPROTO", "BUSYKEY", "NOTBUSY", "UNBLOCKED":
            self = .other(word)
        default: self = script ? .script(word) : .other(word)
        }
    }
}
