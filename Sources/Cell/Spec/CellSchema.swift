/// Every field of a cell.yaml: its name, what may stand there, what it means, and where it goes in a `CellSpec`. The reader, the writer, the
/// reference, `cellctl explain` and the Kubernetes schema all come from this table.
public enum CellSchema {
    public static let apiVersion = "cecochat.io/v1alpha1"
    public static let kind = "Cell"

    static let document: [Field<CellSpec>] = [.section("metadata", metadata, "What the cell is called."), .section("spec", spec, "What the cell is to be.")]

    /// The fields of a document beside `apiVersion` and `kind`.
    public static let fields: [FieldInfo] = document.map { $0.describe(.blank) }

    private static let metadata: [Field<CellSpec>] =
        [
            .field(
                "name", \.name, Shape.text(.cellName).converted(to: { CellName($0) }, from: \.description), required: true,
                fixed: "a cell is known by its name; another name is another cell", "Names the cell, its Redis keys, containers and pods."),
            .field("labels", \.labels, .map(.labelKey, .labelValue), "Free labels."),
            .ignored("namespace", .text(.dnsLabel), "For kubectl: where the Cell object lives. Not read otherwise."),
            .ignored("annotations", .map(.labelKey, .line), "For kubectl. Not read otherwise."),
        ] + ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "finalizers", "ownerReferences"].map(Field.unread)

    private static let spec: [Field<CellSpec>] = [
        .field(
            "partitions", \.partitions, .integer(1...1_000_000, example: "720"), required: true,
            fixed: "a user's partition is computed from it and never changes; another number needs a new cell",
            "Into how many partitions the users are divided. At least a few for each server that the cell may ever have."),
        .field(
            "idWindow", \.idWindow, .duration(.seconds(5) ... .seconds(600)), fixed: "what counts as a repetition in the log would be judged anew",
            "W of the once-rule: how far a message's id may be from the time at which the log takes it."),
        .field("zones", \.zones, .list(of: .text(.zone)), "Servers are spread over them. On Kubernetes empty means the nodes' topology.kubernetes.io/zone."),
        .field("messaging", \.messaging, messaging, "The servers that hold the clients' streams."),
        .field("connect", \.connect, connect, "The servers that tell clients where to go."),
        .field(
            "history", \.history,
            .group(HistorySpec(), [.field("servers", \.servers, servers, "How many answer queries. TLS and advertised host are messaging's.")]),
            "The servers that answer from the history."),
        .field(
            "materialize", \.materialize, .group(MaterializeSpec(), [.field("servers", \.servers, servers, "How many write the history.")]),
            "The servers that write the log into the store."),
        .field("backplane", \.backplane, backplane, required: true, "The log that all messages go through."),
        .field("store", \.store, store, required: true, "Where the history is kept."),
        .field("auth", \.auth, auth, required: true, "How clients show who they are."),
        .field("run", \.run, run, required: true, "Where the cell's servers run."),
        .field("failover", \.failover, failover, "How a death is noticed and repaired."),
        .field("moves", \.moves, moves, "How partitions move on purpose."),
        .field("rollout", \.rollout, rollout, "How servers are replaced by others."),
    ]

    static let servers = Shape.integer(1...10_000)

    private static let connect = Shape.group(
        ConnectSpec(),
        [
            .field("servers", \.servers, servers, "How many."),
            .field(
                "port", \.port, Shape.integer(1...65_535, example: "8080").converted(to: { UInt16(exactly: $0) }, from: Int.init),
                "Where the first listens; several on one host take the ports that follow."),
            .optional("tls", \.tls, tlsFiles, otherwise: "none", "HTTPS instead of HTTP."),
        ])

    static let tlsFiles = Shape.group(
        TLSFiles(certificate: "", key: ""),
        [
            .field("certificate", \.certificate, .text(.path), required: true, "PEM file of the certificate and its chain."),
            .field("key", \.key, .text(.path), required: true, "PEM file of the private key."),
        ])

    private static let failover = Shape.group(
        FailoverSpec(),
        [
            .field("heartbeat", \.heartbeat, .duration(.milliseconds(50) ... .seconds(30)), "How often a server renews its lease."),
            .field(
                "lease", \.lease, .duration(.milliseconds(100) ... .seconds(120)),
                "How long a server counts as living without a renewal; at least twice the heartbeat."),
            .field(
                "maxSimultaneous", \.maxSimultaneous_percent, .percent(1...100),
                "The brake: of the servers, how many that only the lease reports dead are repaired at once (at least one)."),
        ])

    private static let moves = Shape.group(
        MovesSpec(),
        [
            .field("simultaneous", \.simultaneous_percent, .percent(1...100), "Of the partitions, how many move at once."),
            .field("clientsPerSecond", \.clientsPerSecond, .integer(1...1_000_000, example: "2000"), "The rate at which a server tells its clients to move."),
            .field("grace", \.grace, .duration(.milliseconds(100) ... .seconds(3_600)), "How long clients may take after that; then their streams end."),
        ])

    private static let rollout = Shape.group(
        RolloutSpec(),
        [
            .field("batch", \.batch, .integer(1...1_000), "Servers replaced at a time."),
            .field("readyWithin", \.readyWithin, .duration(.seconds(1) ... .seconds(3_600)), "A replacement that is not ready by then stops the rollout."),
        ])

    /// The path of the mapping that has a field called `name`, if exactly one has.
    static func parent(of name: String) -> String? {
        let parents = everyField.filter { $0.info.name == name }.map(\.parent)
        return parents.count == 1 ? parents[0] : nil
    }

    /// Every field of a document by its path, in the order of the file.
    public static var reference: [(path: String, info: FieldInfo)] {
        everyField.map { ($0.parent.isEmpty ? $0.info.name : "\($0.parent).\($0.info.name)", $0.info) }
    }

    /// Every field with the path of its parent.
    static let everyField: [(parent: String, info: FieldInfo)] = walk(fields, "")

    private static func walk(_ fields: [FieldInfo], _ path: String) -> [(parent: String, info: FieldInfo)] {
        fields.flatMap { field in
            [(parent: path, info: field)] + walk(field.form.fields, path.isEmpty ? field.name : "\(path).\(field.name)")
        }
    }
}

extension CellSpec {
    /// What reading starts with: every default, and placeholders for what is required.
    static let blank = CellSpec(name: CellName("unnamed")!, partitions: 1, backplane: .embedded, store: .sqlite, auth: .none, run: .process(.init()))
}

extension Field {
    /// What Kubernetes writes, so that what kubectl prints can be applied again.
    static func unread(_ name: String) -> Field {
        var field = ignored(name, .unread, "")
        field.isListed = false
        return field
    }

    /// A field that others read, not we: checked, and left out of the spec.
    static func ignored<Value>(_ name: String, _ shape: Shape<Value>, _ about: String) -> Field {
        Field(
            name: name, isRequired: false, example: shape.example,
            describe: { _ in
                FieldInfo(name: name, form: shape.form, isRequired: false, fallback: nil, fixed: nil, about: about, example: shape.example)
            },
            read: { node, path, _, findings in
                _ = shape.read(node, path, &findings)
            }, write: { _ in nil })
    }
}
