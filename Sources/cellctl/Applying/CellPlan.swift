import Blackboard
import Cell
import FoundationEssentials
import Operator

/// What `plan -o json` prints and `apply --plan` reads.
struct PlanFile: Codable, Equatable {
    var plans: [CellPlan]

    /// - Throws: `invalid` for a file that is none.
    static func read(_ path: String) throws -> PlanFile {
        let bytes: [UInt8]
        do throws(UnreadableFile) { bytes = try readFile(path, atMost: 64 << 20) } catch {
            throw Failure(.invalid, "\(path) cannot be read: \(error.reason)", remedy: "Name a file that cellctl plan -o json wrote")
        }
        do { return try JSONDecoder().decode(PlanFile.self, from: Data(bytes)) } catch {
            throw Failure(.invalid, "\(path) is no plan", remedy: "Write one: cellctl plan -f cell.yaml -o json > \(path)")
        }
    }
}

/// What applying a cell's spec would do, and to which state of the cell.
struct CellPlan: Codable, Equatable {
    enum Change: String, Codable { case created, configured, unchanged }

    var cell: String
    var change: Change
    /// Of the spec that is replaced; 0: there is none.
    var generation: Int64
    /// Of the assignment that the plan starts from.
    var epoch: Epoch
    /// The spec to be, canonical JSON.
    var spec: String
    /// Nil when nothing changes.
    var outcome: Rehearsal.Outcome?

    func lines(isWide: Bool) -> [String] {
        guard let outcome else { return ["cell/\(cell) unchanged"] }
        var lines = ["cell/\(cell) would be \(change.rawValue)"]
        func add(_ title: String, _ text: String) { lines.append("  \(title):" + String(repeating: " ", count: max(1, 20 - title.count)) + text) }
        add("servers that start", Self.names(outcome.started))
        add("servers that stop", Self.names(outcome.stopped))
        add("partitions moved", "\(outcome.partitionsMoved)")
        add("clients moved", "\(outcome.clientsMoved)")
        add("epochs", "\(outcome.epochs)")
        add(outcome.unfinished.isEmpty ? "about" : "at least", "\(outcome.time_ms / 1_000).\(outcome.time_ms % 1_000 / 100) s")
        if !outcome.unfinished.isEmpty { add("then it waits", outcome.unfinished) }
        for event in isWide ? outcome.timeline[...] : [] {
            let tenths = event.at_ms / 100
            lines.append("  \(tenths / 10).\(tenths % 10) s  \(event.text)")
        }
        return lines
    }

    private static func names(_ ids: [ServerID]) -> String {
        let shown = ids.prefix(8).map(\.description).joined(separator: ", ")
        return ids.isEmpty ? "none" : ids.count <= 8 ? shown : "\(ids.count): \(shown), …"
    }
}

extension Session {
    func plan(_ wish: WishedCell) async throws -> CellPlan {
        let name = wish.spec.name
        let snapshot = try await snapshot(name)
        let change = try SpecChange.of(wish, to: snapshot.spec)
        var plan = CellPlan(
            cell: name.description, change: .unchanged, generation: snapshot.spec?.generation ?? 0, epoch: snapshot.assignment.epoch,
            spec: wish.spec.canonicalJSON)
        switch change {
        case .unchanged: return plan
        case .create: plan.change = .created
        case .configure: plan.change = .configured
        }
        let asked = try await board(name).wishes()
        let present = ObservedCell(
            told: ServerItems(snapshot).all, snapshot.assignment, snapshot.servers.reports, asked, generation: plan.generation + 1)
        plan.outcome = Rehearsal(wish.spec, from: present).outcome
        return plan
    }

    /// Carries out plans that were looked at.
    ///
    /// - Throws: `changed` when a cell is another than the plan started from; then nothing of that cell is written.
    func apply(_ file: PlanFile, _ terminal: Terminal) async throws -> [(name: CellName, generation: Int64)] {
        var applied: [(name: CellName, generation: Int64)] = []
        for plan in file.plans {
            guard let name = CellName(plan.cell) else {
                throw Failure(.invalid, "\"\(plan.cell)\" is no cell's name", remedy: "Write the plan anew: cellctl plan")
            }
            let spec: CellSpec
            do { spec = try CellSpec.read(json: plan.spec, source: "the plan") } catch {
                throw Failure(.invalid, "the plan's spec of cell \(name) cannot be read: \(error)", remedy: "Write the plan anew: cellctl plan")
            }
            guard spec.name == name else { throw Failure(.invalid, "the plan for cell \(name) has the spec of \(spec.name)", remedy: "Write the plan anew") }
            let board = board(name)
            let (stored, epoch) = (try await board.spec(), try await board.assignmentVersion().epoch)
            let generation = stored?.generation ?? 0
            guard stored?.isDeleted != true, generation == plan.generation, epoch == plan.epoch else {
                let found = generation != plan.generation ? "generation \(generation) instead of \(plan.generation)" : "epoch \(epoch) instead of \(plan.epoch)"
                throw Failure(
                    .changed, "cell \(name) is not as it was when the plan was made: it is in \(found)", remedy: "Plan again: cellctl plan -f FILE -o json")
            }
            var now = generation
            if plan.change != .unchanged { now = try await board.putSpec(spec.canonicalJSON, replacing: generation) }
            terminal.say("cell/\(name) \(plan.change.rawValue)")
            applied.append((name, now))
        }
        return applied
    }
}
