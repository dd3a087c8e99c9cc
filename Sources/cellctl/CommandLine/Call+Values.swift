import Cell

extension Call {
    static let longestWait = Duration.seconds(300)

    /// How long `--wait` may take; nil without it.
    func waitLimit() throws(Failure) -> Duration? {
        guard has(.wait) else { return nil }
        guard let text = value(.wait) else { return Self.longestWait }
        guard let limit = Quantity.duration(of: text) else {
            throw .usage("--wait=\(text) is no duration", remedy: "Write it like --wait=90s or --wait=5m")
        }
        return limit
    }
}
