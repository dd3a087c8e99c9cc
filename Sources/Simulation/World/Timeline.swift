import Operator

/// What happened, for people.
struct Timeline: Sendable {
    struct Entry: Sendable, Equatable {
        var time_us: Int64
        var text: String
    }

    let isRecording: Bool
    /// What times count from.
    private(set) var zero_us: Int64 = 0
    var now_us: Int64 = 0
    private(set) var entries: [Entry] = []

    init(isRecording: Bool) { self.isRecording = isRecording }

    /// Forgets what was before; times count from now.
    mutating func begin() {
        entries = []
        zero_us = now_us
    }

    mutating func add(_ text: @autoclosure () -> String) { if isRecording { entries.append(Entry(time_us: now_us, text: text())) } }

    mutating func add(_ notes: [Note]) {
        guard isRecording else { return }
        for note in notes { entries.append(Entry(time_us: now_us, text: "\(note.kind): \(note.text)")) }
    }
}
