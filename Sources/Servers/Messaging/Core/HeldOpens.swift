import Cell

/// The Opens of one partition that are not answered yet. After a loss that is everybody at once, so each is found by its user and never by looking at all.
struct HeldOpens {
    private var byUser: [UserID: [Conversation]] = [:]

    var isEmpty: Bool { byUser.isEmpty }

    mutating func add(_ conversation: Conversation) { byUser[conversation.user, default: []].append(conversation) }

    mutating func remove(_ conversation: Conversation) {
        guard var rest = byUser.removeValue(forKey: conversation.user) else { return }
        rest.removeAll { $0 === conversation }
        if !rest.isEmpty { byUser[conversation.user] = rest }
    }

    /// In the order in which they came.
    func of(_ user: UserID) -> [Conversation] { byUser[user] ?? [] }

    /// In the order in which they came.
    var all: [Conversation] { byUser.values.joined().sorted { $0.id < $1.id } }
}
