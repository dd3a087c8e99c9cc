import Cell

/// A server's identity on what it runs in, a container or a pod. Names may be taken, changed or reserved; labels stay.
struct ServerLabels: Equatable, Sendable {
    static let cellKey = "io.cecochat.cell"
    static let buildKey = "io.cecochat.build"
    private static let serverKey = "io.cecochat.server"
    private static let incarnationKey = "io.cecochat.incarnation"
    private static let generationKey = "io.cecochat.generation"
    private static let zoneKey = "io.cecochat.zone"
    private static let portKey = "io.cecochat.port"
    private static let templateKey = "io.cecochat.template"

    var cell: CellName
    var life: ServerLife
    var zone: String
    var port: UInt16?
    /// Of the spec by which it was started.
    var generation: Int64
    /// The image it was made of.
    var build: String
    /// Empty on those of operators before there were any.
    var template: String

    init(_ life: ServerLife, _ template: ServerTemplate, build: String) {
        cell = template.cell
        self.life = life
        zone = template.zone
        port = template.port
        generation = template.generation
        self.template = template.name
        self.build = build
    }

    /// Nil for what no operator made.
    init?(_ labels: [String: String]) {
        guard let cell = labels[Self.cellKey].flatMap({ CellName($0) }), let server = labels[Self.serverKey].flatMap({ ServerID($0) }),
            let incarnation = labels[Self.incarnationKey].flatMap({ Incarnation($0) })
        else { return nil }
        self.cell = cell
        life = ServerLife(server, incarnation)
        zone = labels[Self.zoneKey] ?? ""
        port = labels[Self.portKey].flatMap { UInt16($0) }
        generation = labels[Self.generationKey].flatMap { Int64($0) } ?? 0
        build = labels[Self.buildKey] ?? ""
        template = labels[Self.templateKey] ?? ""
    }

    /// All but the build, which not every label may hold.
    var values: [String: String] {
        var values = [
            Self.cellKey: "\(cell)", Self.serverKey: "\(life.id)", Self.incarnationKey: "\(life.incarnation)", Self.generationKey: "\(generation)",
        ]
        if !zone.isEmpty { values[Self.zoneKey] = zone }
        if !template.isEmpty { values[Self.templateKey] = template }
        if let port { values[Self.portKey] = "\(port)" }
        return values
    }

    /// With the incarnation, so that a replacement never waits for a name that its predecessor still has.
    static func name(_ cell: CellName, _ life: ServerLife) -> String { "cell-\(cell)-\(life.id)-\(life.incarnation)" }
}
