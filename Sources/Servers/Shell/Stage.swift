import Cell

/// How far a server's life has come.
///
///     preparing ──▶ starting ──▶ running ──▶ stopping
///     (spec)        (core)                    (SIGTERM, or superseded)
enum Stage: Equatable, Sendable {
    /// Has no core yet; for people, what it waits for.
    case preparing(String)
    /// The core did not start yet, and why.
    case starting(String)
    /// As the core says.
    case running(Readiness)
    case stopping

    var readiness: Readiness {
        switch self {
        case .preparing(let reason), .starting(let reason): .waits(for: reason)
        case .running(let readiness): readiness
        case .stopping: .waits(for: "it is stopping")
        }
    }

    /// As the report tells it.
    var state: (Report.State, waitsFor: String) {
        switch (self, readiness) {
        case (.stopping, _): (.stopping, "")
        case (_, .ready): (.ready, "")
        case (_, .waits(let reason)): (.starting, reason)
        }
    }
}
