import Synchronization

/// One server-sent event.
public struct ServerEvent: Sendable, Equatable {
    public var name: String?
    public var id: String?
    /// May have several lines.
    public var data: String

    public init(_ data: String, name: String? = nil, id: String? = nil) {
        self.data = data
        self.name = name
        self.id = id
    }

    /// As it goes over the wire.
    var text: String {
        var lines: [String] = []
        if let id { lines.append("id: \(Self.oneLine(id))") }
        if let name { lines.append("event: \(Self.oneLine(name))") }
        lines += data.split(omittingEmptySubsequences: false) { $0.isNewline }.map { "data: \($0)" }
        return lines.joined(separator: "\n") + "\n\n"
    }

    private static func oneLine(_ text: String) -> String { String(text.map { $0.isNewline ? " " : $0 }) }
}

/// Events for every client that listens at the moment.
///
/// A client that is more than `backlog` bytes behind is let go; browsers come again by themselves. Sending an empty comment every few seconds
/// (``beat()``) finds the clients that are gone.
public final class EventFeed: Sendable {
    private struct Listeners {
        var outlets: [ObjectIdentifier: EventOutlet] = [:]
        var isEnded = false
    }

    let backlog: Int
    private let listeners = Mutex(Listeners())

    public init(backlog: Int = 256 * 1024) {
        self.backlog = backlog
    }

    /// How many clients listen.
    public var count: Int { listeners.withLock { $0.outlets.count } }

    public func send(_ event: ServerEvent) { write(event.text) }

    public func beat() { write(":\n\n") }

    /// Lets every client go, and those that come later at once.
    public func end() {
        let outlets = listeners.withLock { listeners in
            listeners.isEnded = true
            defer { listeners.outlets = [:] }
            return Array(listeners.outlets.values)
        }
        for outlet in outlets { outlet.end() }
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        for outlet in listeners.withLock({ Array($0.outlets.values) }) { outlet.write(bytes) }
    }

    func add(_ outlet: EventOutlet) {
        let isEnded = listeners.withLock { listeners in
            if !listeners.isEnded { listeners.outlets[ObjectIdentifier(outlet)] = outlet }
            return listeners.isEnded
        }
        if isEnded { outlet.end() }
    }

    func remove(_ outlet: EventOutlet) {
        listeners.withLock { _ = $0.outlets.removeValue(forKey: ObjectIdentifier(outlet)) }
    }
}
