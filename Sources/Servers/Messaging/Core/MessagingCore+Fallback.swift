import Cell

/// Where clients go first when this server is lost. It is of use only to those who know it, so a new one is told soon and not with the next
/// sign of life: the standby that was promoted a second ago may be the next to die.
extension MessagingCore {
    struct Fallback {
        /// HOST:PORT; empty: there is none.
        var address = ""
        /// One more with every change.
        var version: UInt32 = 0
    }

    func choose(fallback address: String) {
        guard address != fallback.address else { return }
        fallback = Fallback(address: address, version: fallback.version &+ 1)
        let isUnderWay = !uninformed.isEmpty
        uninformed = conversations.keys.sorted()[...]
        // A standby is followed by the next within moments; nobody needs to hear of both.
        if !isUnderWay { alarm(.fallback, after: Self.fallbackSettles_ms) }
    }

    /// Tells some streams; all of them at once would be felt.
    func fallbackSlice() {
        for id in uninformed.prefix(Self.fallbackSlice) {
            guard let conversation = conversations[id], conversation.stage == .live, conversation.fallbackTold != fallback.version,
                let partition = partitions[conversation.partition]
            else { continue }
            sayAlive(to: conversation, partition)
        }
        uninformed = uninformed.dropFirst(Self.fallbackSlice)
        if !uninformed.isEmpty { alarm(.fallback, after: Self.moveSlice_ms) }
    }
}
