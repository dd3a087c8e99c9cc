import Cell

// Connections to the cell's servers, held to see them break.
extension CellOperator {
    /// To who is a member now; to nobody while another leads.
    func holdConnections() {
        let version = leads ? observed.assignment.version : nil
        guard version != heldVersion else { return }
        heldVersion = version
        let members = leads ? observed.assignment.members : [:]
        let addresses = Dictionary(members.map { (ServerLife($0.key, $0.value.incarnation), $0.value.http) }) { $1 }
        context.connections.hold(addresses, for: ObjectIdentifier(self)) { [errand] life in
            errand.yield { await self.hearShut(life) }
        }
    }

    private func hearShut(_ life: ServerLife) {
        guard leads, observed.noteShut(life, now: now) else { return }
        context.log.info("\(cell): \(life.id) closed its connections, and its port refuses others")
        hasShutNews = true
        bell.ring()
    }
}
