import Synchronization
import Testing

@testable import Cassandra

/// What a node may answer by the protocol, and hardly ever does.
@Suite(.timeLimit(.minutes(10)))
struct ScriptedNodeTests {
    static let oldID = [UInt8](0...15)
    static let newID = [UInt8](repeating: 0xff, count: 16)

    static func prepared(_ id: [UInt8], _ stream: Int16) -> Frame {
        Frame(stream: stream, opcode: .result, body: hex("00000004 0010") + id + hex("00000000 00000000 00000000 00000004 00000000"))
    }

    static func unprepared(_ stream: Int16) -> Frame {
        Frame(stream: stream, opcode: .error, body: hex("00002500 0001 78 0010") + oldID)
    }

    static func session(_ node: ScriptedNode) throws -> CassandraSession {
        var configuration = CassandraConfiguration(contactPoints: [Endpoint(host: "127.0.0.1", port: UInt16(node.port))])
        // What is asked is counted: nothing is asked again only because the machine is slow.
        configuration.timeout = .seconds(60)
        configuration.attemptTimeout = .seconds(60)
        configuration.connectTimeout = .seconds(30)
        configuration.silence = .seconds(60)
        return try CassandraSession(configuration)
    }

    @Test("a node that forgot a statement is asked to prepare it once, and the statement runs with the id it gives")
    func newID() async throws {
        let node = try ScriptedNode { frame in
            switch frame.opcode {
            case .prepare: [Self.prepared(Self.oldID, frame.stream)]
            default: [Self.unprepared(frame.stream)]
            }
        }
        defer { node.stop() }
        let forgetful = try Self.session(node)
        defer { forgetful.close() }
        // It forgets for ever: one more try, then a plain error.
        let statement = PreparedStatement("SELECT x FROM t")
        do {
            _ = try await forgetful.execute(statement)
            Issue.record("an answer to an unprepared statement")
        } catch let error as CassandraError {
            #expect(error.code == .unprepared)
        }
        #expect(node.requests.map(\.opcode) == [.prepare, .execute, .prepare, .execute])

        let times = Mutex(0)
        let other = try ScriptedNode { frame in
            switch frame.opcode {
            case .prepare:
                let first = times.withLock { times in
                    defer { times += 1 }
                    return times == 0
                }
                return [Self.prepared(first ? Self.oldID : Self.newID, frame.stream)]
            case .execute where Array(frame.body[2..<18]) == Self.oldID: return [Self.unprepared(frame.stream)]
            default: return [Frame(stream: frame.stream, opcode: .result, body: hex("00000001"))]
            }
        }
        defer { other.stop() }
        let session = try Self.session(other)
        defer { session.close() }
        #expect(try await session.execute(statement).isEmpty)
        #expect(try await session.execute(statement).isEmpty)
        #expect(other.requests.map(\.opcode) == [.prepare, .execute, .prepare, .execute, .execute])
        #expect(other.requests.filter { $0.opcode == .execute }.map { Array($0.body[2..<18]) } == [Self.oldID, Self.newID, Self.newID])
    }

    @Test("many who need a statement at once have it prepared once")
    func preparedOnce() async throws {
        let node = try ScriptedNode { frame in
            frame.opcode == .prepare ? [Self.prepared(Self.oldID, frame.stream)] : [Frame(stream: frame.stream, opcode: .result, body: hex("00000001"))]
        }
        defer { node.stop() }
        let session = try Self.session(node)
        defer { session.close() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { _ = try await session.execute(PreparedStatement("SELECT x FROM t")) } }
            try await group.waitForAll()
        }
        #expect(node.requests.count { $0.opcode == .prepare } == 1)
        #expect(node.requests.count { $0.opcode == .execute } == 50)
    }

    @Test("an answer nobody asked for ends the connection, and the session goes on with a new one")
    func foreign() async throws {
        let times = Mutex(0)
        let node = try ScriptedNode { frame in
            let first = times.withLock { times in
                defer { times += 1 }
                return times == 0
            }
            return [Frame(stream: first ? frame.stream + 1_000 : frame.stream, opcode: .result, body: hex("00000001"))]
        }
        defer { node.stop() }
        let session = try Self.session(node)
        defer { session.close() }
        #expect(try await session.execute("SELECT 1", idempotent: true).isEmpty)
        #expect(node.requests.count == 2)
    }

    @Test(
        "errors of the node: what is overloaded is tried again when that is harmless, and else told",
        arguments: [
            (0x1001, CassandraError.Code.overloaded, true, 3), (0x1001, .overloaded, false, 1), (0x1002, .bootstrapping, false, 3),
            (0x2100, .unauthorized, true, 1),
            (0x1100, .writeTimeout, true, 3), (0x1100, .writeTimeout, false, 1), (0x1300, .readFailure, true, 1), (0x2000, .syntax, true, 1),
        ])
    func errors(_ number: Int, _ code: CassandraError.Code, _ idempotent: Bool, _ tries: Int) async throws {
        let details = [0x1100, 0x1300].contains(number) ? "0006 00000001 00000002" : ""
        let node = try ScriptedNode { frame in
            [Frame(stream: frame.stream, opcode: .error, body: hex("0000" + String(number, radix: 16) + "0001 78" + details))]
        }
        defer { node.stop() }
        let session = try Self.session(node)
        defer { session.close() }
        do {
            _ = try await session.execute("SELECT 1", idempotent: idempotent)
            Issue.record("no error")
        } catch let error as CassandraError {
            #expect(error.code == code)
            #expect(error.node == "127.0.0.1:\(node.port)")
        }
        #expect(node.requests.count == tries)
    }
}
