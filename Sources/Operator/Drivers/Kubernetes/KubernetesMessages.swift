import Cell
import FoundationEssentials

/// What the Kubernetes API says, as far as it is of use here. Everything that some version may leave out is optional.
enum KubernetesMessage {
    struct Metadata: Decodable {
        var name: String
        var namespace: String?
        var uid: String?
        var resourceVersion: String?
        var generation: Int64?
        var labels: [String: String]?
        var annotations: [String: String]?
        var finalizers: [String]?
        var creationTimestamp: String?
        /// When its grace ends, or ended.
        var deletionTimestamp: String?
        var deletionGracePeriodSeconds: Int64?
    }

    /// What every answer that is no success holds.
    struct Problem: Decodable {
        struct Details: Decodable {
            var name: String?
            var kind: String?
            var retryAfterSeconds: Int?
        }
        var message: String?
        var reason: String?
        var code: Int?
        var details: Details?
    }

    struct ListMetadata: Decodable {
        var resourceVersion: String?
        var `continue`: String?
    }

    struct List<Item: Decodable>: Decodable {
        var metadata: ListMetadata
        var items: [Item]
    }

    /// Of any object: what a bookmark has.
    struct Versioned: Decodable {
        struct Metadata: Decodable { var resourceVersion: String? }
        var metadata: Metadata?
    }

    /// A line of a watch, before anyone knows what its object is.
    struct EventHead: Decodable { var type: String }
    struct Event<Item: Decodable>: Decodable { var object: Item }

    struct ServerVersion: Decodable {
        var major: String
        /// May end in a plus.
        var minor: String
    }

    struct Deployment: Decodable {
        struct Status: Decodable { var readyReplicas: Int? }
        var status: Status?
    }

    struct Pod: Decodable {
        struct Spec: Decodable {
            var nodeName: String?
        }

        struct Condition: Decodable {
            var type: String
            var status: String
            var reason: String?
            var message: String?
        }

        struct Container: Decodable {
            struct State: Decodable {
                struct Waiting: Decodable {
                    var reason: String?
                    var message: String?
                }
                struct Running: Decodable { var startedAt: String? }
                struct Terminated: Decodable {
                    var exitCode: Int32
                    var signal: Int32?
                    var reason: String?
                    var message: String?
                    var finishedAt: String?
                }
                var waiting: Waiting?
                var running: Running?
                var terminated: Terminated?
            }
            var name: String
            var state: State?
            var containerID: String?
        }

        struct Status: Decodable {
            var phase: String?
            var reason: String?
            var message: String?
            var conditions: [Condition]?
            var containerStatuses: [Container]?
            var hostIP: String?
        }

        var metadata: Metadata
        var spec: Spec?
        var status: Status?
    }

    static func read<Message: Decodable>(_ type: Message.Type, from bytes: [UInt8]) throws(DriverError) -> Message {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
            let words = String(decoding: bytes.prefix(200), as: UTF8.self)
            throw DriverError("Kubernetes' answer cannot be read: \(words)", remedy: "Check that the address is a Kubernetes API server.")
        }
    }

    /// Unix seconds of `2026-11-25T14:24:46Z`; nil of what is no time.
    static func time_s(_ text: String?) -> Int64? {
        text.flatMap { try? Date($0, strategy: .iso8601) }.map { Int64($0.timeIntervalSince1970) }
    }
}

/// Any JSON, as `Cell` writes it. Numbers that are no integers keep the shortest text that reads back equal.
struct AnyJSON: Decodable {
    var json: JSON

    init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: AnyKey.self) {
            var members: [String: JSON] = [:]
            for key in container.allKeys { members[key.stringValue] = try container.decode(AnyJSON.self, forKey: key).json }
            json = .object(members)
        } else if var container = try? decoder.unkeyedContainer() {
            var elements: [JSON] = []
            while !container.isAtEnd { elements.append(try container.decode(AnyJSON.self).json) }
            json = .list(elements)
        } else {
            let value = try decoder.singleValueContainer()
            if value.decodeNil() {
                json = .null
            } else if let flag = try? value.decode(Bool.self) {
                json = .flag(flag)
            } else if let integer = try? value.decode(Int.self) {
                json = .integer(integer)
            } else if let number = try? value.decode(Double.self) {
                json = .canonical("\(number)")
            } else {
                json = .text(try value.decode(String.self))
            }
        }
    }

    private struct AnyKey: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
