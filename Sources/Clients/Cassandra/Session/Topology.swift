/// What a node says of itself or of another in its system tables.
struct Member: Sendable, Equatable {
    var id: [UInt8]
    var dataCenter: String
    var endpoint: Endpoint

    static let ownQuery = "SELECT host_id, data_center FROM system.local"
    static let peersQuery = "SELECT host_id, data_center, native_address, native_port, peer FROM system.peers_v2"
    /// Before Cassandra 4.
    static let oldPeersQuery = "SELECT host_id, data_center, rpc_address, peer FROM system.peers"

    /// A row of `ownQuery`; the address is the one that it was asked at.
    init?(own row: Row, at endpoint: Endpoint) {
        guard let id = try? row.bytes(0), let dataCenter = try? row.text(1) else { return nil }
        self.init(id: id, dataCenter: dataCenter, endpoint: endpoint)
    }

    /// A row of `peersQuery`; nil for one that a node left half written.
    init?(peer row: Row) {
        guard let port = try? row.int(3) else { return nil }
        self.init(row, port: UInt16(clamping: port), peer: 4)
    }

    /// A row of `oldPeersQuery`: all nodes of such a cluster listen on the same port.
    init?(oldPeer row: Row, port: UInt16) { self.init(row, port: port, peer: 3) }

    private init?(_ row: Row, port: UInt16, peer: Int) {
        guard let id = try? row.bytes(0), let dataCenter = try? row.text(1), let address = try? row.text(2), port > 0 else { return nil }
        // A node that listens everywhere is reached at the address its peers use.
        let everywhere = address == "0.0.0.0" || address == "0:0:0:0:0:0:0:0"
        guard let host = everywhere ? try? row.text(peer) : address else { return nil }
        self.init(id: id, dataCenter: dataCenter, endpoint: Endpoint(host: host, port: port))
    }

    init(id: [UInt8], dataCenter: String, endpoint: Endpoint) {
        self.id = id
        self.dataCenter = dataCenter
        self.endpoint = endpoint
    }
}

/// Which nodes to hold connections to. Values only.
struct Topology: Sendable, Equatable {
    let contacts: [Endpoint]
    private(set) var dataCenter: String?
    /// What stands behind an address, once it has said so.
    private(set) var members: [Endpoint: Member] = [:]

    init(contacts: [Endpoint], dataCenter: String?) {
        self.contacts = contacts
        self.dataCenter = dataCenter
    }

    /// A node has said who it is. The first one decides whose neighbours the others must be.
    mutating func identified(_ member: Member) {
        if dataCenter == nil { dataCenter = member.dataCenter }
        members[member.endpoint] = member
        // A contact point may be a node under another name (a proxy, a load balancer): one connection is enough.
        guard contacts.contains(member.endpoint) else { return }
        for (endpoint, other) in members where other.id == member.id && !contacts.contains(endpoint) { members[endpoint] = nil }
    }

    /// The node at `source` has listed its peers: its list replaces what was known but for the contact points.
    mutating func listed(_ peers: [Member], by source: Endpoint) {
        let known = Set(contacts.compactMap { members[$0]?.id })
        let kept = members.filter { contacts.contains($0.key) || $0.key == source }
        members = peers.filter { $0.dataCenter == dataCenter && !known.contains($0.id) }
            .reduce(into: kept) { $0[$1.endpoint] = $0[$1.endpoint] ?? $1 }
    }

    /// Every address to connect to, in order.
    var wanted: [Endpoint] { Set(contacts + members.keys).sorted() }

    /// Whether statements may be sent to `endpoint`.
    func serves(_ endpoint: Endpoint) -> Bool {
        guard let member = members[endpoint] else { return false }
        return member.dataCenter == dataCenter
    }
}
