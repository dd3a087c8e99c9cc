/// The nodes: finds them, holds a connection to each, connects again with growing waits.
///
/// `@unchecked Sendable`: touched on the loop's thread only.
final class Cluster: @unchecked Sendable {
    /// `@unchecked Sendable`: as its cluster.
    private final class Node: @unchecked Sendable {
        var connection: Connection?
        var open = false
        var problem: CassandraError?
        var backoff: Backoff
        init(_ backoff: Backoff) { self.backoff = backoff }
    }

    private let loop: Loop
    private let configuration: CassandraConfiguration
    private var topology: Topology
    private var nodes: [Endpoint: Node] = [:]
    private var closed = false
    /// Told whenever the nodes that can be asked have changed.
    private let changed: @Sendable (_ up: [Connection], _ problems: [CassandraError]) -> Void

    init(
        _ loop: Loop, _ configuration: CassandraConfiguration,
        changed: @escaping @Sendable (_ up: [Connection], _ problems: [CassandraError]) -> Void
    ) {
        self.loop = loop
        self.configuration = configuration
        self.changed = changed
        topology = Topology(contacts: configuration.contactPoints, dataCenter: configuration.dataCenter)
    }

    func start() {
        adjust()
        discoverLater()
    }

    func close() {
        closed = true
        for node in nodes.values { node.connection?.close(CassandraError(.closed, "the session is closed")) }
        nodes = [:]
    }

    /// Connects to what is wanted and not there, and leaves what is no longer wanted.
    private func adjust() {
        guard !closed else { return }
        let wanted = topology.wanted
        for (endpoint, node) in nodes where !wanted.contains(endpoint) {
            nodes[endpoint] = nil
            node.connection?.close(CassandraError(.connectionLost, node: endpoint.description, "the node left the cluster"))
        }
        for endpoint in wanted where nodes[endpoint] == nil {
            nodes[endpoint] = Node(Backoff(configuration.reconnect))
            connect(endpoint)
        }
        publish()
    }

    private func connect(_ endpoint: Endpoint) {
        guard !closed, let node = nodes[endpoint] else { return }
        let connection = Connection(endpoint, on: loop, configuration)
        node.connection = connection
        connection.connect(
            opened: { [weak self, weak connection] in
                if let self, let connection { self.identify(connection) }
            },
            ended: { [weak self, weak node] error in
                if let self, let node { self.ended(endpoint, node, error) }
            })
    }

    private func ended(_ endpoint: Endpoint, _ node: Node, _ error: CassandraError) {
        node.connection = nil
        node.open = false
        node.problem = error
        guard !closed, nodes[endpoint] === node else { return }
        publish()
        loop.after(node.backoff.next(random: .random(in: 0..<1))) { [weak self] in
            guard let self, self.nodes[endpoint] === node, node.connection == nil else { return }
            self.connect(endpoint)
        }
    }

    private func identify(_ connection: Connection) {
        ask(connection, Member.ownQuery) { (cluster: Cluster, rows: Rows) throws(CassandraError) in
            guard let row = rows.rows.first, let member = Member(own: row, at: connection.endpoint) else {
                throw CassandraError(.malformed, "the node does not say who it is")
            }
            cluster.topology.identified(member)
            guard let node = cluster.nodes[connection.endpoint], node.connection === connection else { return }
            node.open = true
            node.problem = nil
            node.backoff.reset()
            cluster.adjust()
            cluster.discover(through: connection)
        }
    }

    private func discoverLater() {
        loop.after(configuration.discovery) { [weak self] in
            guard let self, !self.closed else { return }
            let open = self.nodes.sorted { $0.key < $1.key }.first { $0.value.open }
            if let connection = open?.value.connection { self.discover(through: connection) }
            self.discoverLater()
        }
    }

    private func discover(through connection: Connection) {
        ask(connection, Member.peersQuery) {
            $0.listed($1.rows.compactMap { Member(peer: $0) }, connection)
        } refused: { cluster in
            let port = connection.endpoint.port
            cluster.ask(connection, Member.oldPeersQuery) {
                $0.listed($1.rows.compactMap { Member(oldPeer: $0, port: port) }, connection)
            }
        }
    }

    private func listed(_ peers: [Member], _ connection: Connection) {
        topology.listed(peers, by: connection.endpoint)
        adjust()
    }

    private func ask(
        _ connection: Connection, _ cql: String, then: @escaping @Sendable (Cluster, Rows) throws(CassandraError) -> Void,
        refused: (@Sendable (Cluster) -> Void)? = nil
    ) {
        let request = Request.query(cql, [], StatementOptions(consistency: .localOne, page: .whole))
        connection.submit(request, 0, until: .now + configuration.attemptTimeout) { [weak self, weak connection] result in
            guard let self, let connection else { return }
            do throws(CassandraError) {
                let response = try Response(try result.get())
                switch response {
                case .rows(let rows): try then(self, rows)
                case .error(let error) where error.code == .invalid && refused != nil: refused?(self)
                case .error(let error): throw error
                default: throw CassandraError(.protocolViolation, "a query was answered without rows")
                }
            } catch {
                // A node that cannot be asked this is none to send statements to.
                connection.close(error.at(connection.endpoint))
            }
        }
    }

    private func publish() {
        let sorted = nodes.sorted { $0.key < $1.key }
        let up = sorted.filter { $0.value.open && topology.serves($0.key) }.compactMap(\.value.connection)
        changed(up, sorted.compactMap(\.value.problem))
    }
}
