import Cell
import FoundationEssentials

/// What a watch says, cut into events, however its bytes come.
struct WatchEvents<Item: Decodable>: Sendable {
    enum Event {
        case changed(Item)
        case deleted(Item)
    }

    /// The watch cannot go on from where it is: everything has to be listed again.
    struct Stale: Error, CustomStringConvertible {
        var description: String
    }

    /// The last version that was told of: from here a watch goes on.
    private(set) var version: String
    private var objects = JSONObjects(limit_bytes: 4 << 20)

    init(from version: String) { self.version = version }

    /// The events that `bytes` completes, in order. What is of no known kind moves the version alone.
    ///
    /// - Throws: `Stale` when the server says that the version is gone, in whatever form.
    mutating func add(_ bytes: [UInt8]) throws -> [Event] {
        let whole: [[UInt8]]
        do throws(JSONObjects.TooLong) { whole = try objects.add(bytes) } catch { throw Stale(description: "an event is longer than 4 MiB") }
        var events: [Event] = []
        for object in whole {
            guard let head = try? KubernetesMessage.read(KubernetesMessage.EventHead.self, from: object) else {
                throw Stale(description: "an event cannot be read")
            }
            if head.type == "ERROR" {
                let problem = try? KubernetesMessage.read(KubernetesMessage.Event<KubernetesMessage.Problem>.self, from: object).object
                throw Stale(description: problem?.message ?? "the watch has failed")
            }
            let versioned = try? KubernetesMessage.read(KubernetesMessage.Event<KubernetesMessage.Versioned>.self, from: object)
            if let found = versioned?.object.metadata?.resourceVersion, !found.isEmpty { version = found }
            guard ["ADDED", "MODIFIED", "DELETED"].contains(head.type) else { continue }
            guard let item = try? KubernetesMessage.read(KubernetesMessage.Event<Item>.self, from: object).object else {
                throw Stale(description: "an event's object cannot be read")
            }
            events.append(head.type == "DELETED" ? .deleted(item) : .changed(item))
        }
        return events
    }
}

extension WatchEvents.Event: Sendable where Item: Sendable {}
