import Cell
import History

/// Makes the tables of the history, once for the cell: servers that made them together would disagree.
enum StoreKeeper {
    static func look(_ spec: CellSpec) async -> StoreView {
        do {
            let store = try await spec.openHistoryStore()
            defer { store.close() }
            let missing = try await store.missingTables()
            if !missing.isEmpty { try await store.createSchema() }
            return .ready
        } catch {
            return .away("\(error)")
        }
    }
}
