import FoundationEssentials

/// What the Engine API says, as far as it is of use here. Everything that some version may leave out is optional.
enum EngineMessage {
    struct Version: Decodable {
        var ApiVersion: String
        var MinAPIVersion: String?
    }

    struct Problem: Decodable { var message: String }

    struct Created: Decodable { var Id: String }

    /// An item of the list of containers.
    struct Listed: Decodable {
        var Id: String
        var Names: [String]?
        var State: String
        var Labels: [String: String]?
        /// Unix seconds by the engine's clock.
        var Created: Int64?
    }

    /// A container in detail.
    struct Inspected: Decodable {
        struct State: Decodable {
            var Status: String?
            var Running: Bool
            var ExitCode: Int32
            var OOMKilled: Bool?
            /// Why it could not be started.
            var Error: String?
            var FinishedAt: String?
            var Pid: Int32?
        }

        struct Config: Decodable { var Labels: [String: String]? }

        var Id: String
        var Name: String
        var State: State
        var Config: Config?
    }

    /// Something that happened to a container.
    struct Event: Decodable {
        struct Actor: Decodable {
            var ID: String
            /// Its labels, and `name`, `exitCode` and others.
            var Attributes: [String: String]?
        }

        var `Type`: String?
        var Action: String
        var Actor: Actor
        /// Unix nanoseconds by the engine's clock.
        var timeNano: Int64?
    }

    /// A line of a pull's progress.
    struct Progress: Decodable {
        struct Detail: Decodable { var message: String? }
        var error: String?
        var errorDetail: Detail?
    }

    static func read<Message: Decodable>(_ type: Message.Type, from bytes: [UInt8]) throws(DriverError) -> Message {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
            let words = String(decoding: bytes.prefix(200), as: UTF8.self)
            throw DriverError("the Docker Engine's answer cannot be read: \(words)", remedy: "Check that the endpoint is a Docker Engine.")
        }
    }
}
