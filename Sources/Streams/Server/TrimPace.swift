/// When a server gives back to the system what connections have freed.
///
/// What a TLS handshake needs for a moment lies between what its connection keeps, so malloc keeps the pages of both: after a burst of handshakes
/// half of the memory is free and not the system's. `malloc_trim` returns it, and stops the loops that allocate meanwhile (docs/performance.md):
/// so it is called when many connections have come or gone, and few do at the moment.
struct TrimPace {
    /// How often to look.
    static let interval = Duration.seconds(1)
    /// Looks after which a burst that does not end is not waited for any longer.
    static let patience = 30

    private var seen = 0
    private var seenStreams = 0
    private var trimmed = 0
    private var waited = 0

    /// - Parameters:
    ///   - turnover: connections that came and connections that went, since the start.
    ///   - streams: begun since the start. Connections that were all accepted in one second may take many until their handshakes are over.
    ///   - open: connections now: walking the memory of many takes longer, so it takes more to be worth it.
    /// - Returns: whether to trim now.
    mutating func isDue(turnover: Int, streams: Int, open: Int) -> Bool {
        let enough = max(500, open / 8)
        let lately = max(turnover - seen, streams - seenStreams)
        (seen, seenStreams) = (turnover, streams)
        guard turnover - trimmed >= enough else { return false }
        waited += 1
        guard lately <= enough / 10 || waited >= Self.patience else { return false }
        (trimmed, waited) = (turnover, 0)
        return true
    }
}
