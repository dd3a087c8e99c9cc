import Cell
@testable import Servers
import Testing

@Suite("Where a user's clients go")
struct ConnectTests {
    static let log = LogID("0193b0c2-0000-7000-8000-000000000001")!

    static var spec: CellSpec {
        CellSpec(name: CellName("eu-1")!, partitions: 720, backplane: .embedded, store: .sqlite, auth: .none, run: .process(.init()))
    }

    static func assignment(log: LogID? = log) -> Assignment {
        func member(_ port: Int, _ role: Member.Role, owns: PartitionSet = PartitionSet(), opens: PartitionSet = PartitionSet()) -> Member {
            var member = Member(incarnation: Incarnation("a\(port)")!, address: "h:\(port)", http: "h:1", role: role)
            member.owns = owns
            member.opens = opens
            return member
        }
        return Assignment(
            epoch: Epoch(12), term: Term(3), log: log,
            members: [
                ServerID(.messaging, 1): member(7001, .owner, owns: PartitionSet(0...359)),
                ServerID(.messaging, 2): member(7002, .owner, owns: PartitionSet(360...599), opens: PartitionSet(0...99)),
                ServerID(.messaging, 3): member(7003, .standby), ServerID(.history, 2): member(9002, .service), ServerID(.history, 1): member(9001, .service),
            ])
    }

    static func answer(_ user: String, _ assignment: Assignment? = assignment()) throws -> ConnectAnswer {
        let caller = try Authenticator(.none).caller(authorization: nil, userID: user)
        return ConnectAnswer(to: caller, by: assignment.map { Directory($0, of: spec) })
    }

    @Test(
        "the partition's owner, never the one that opens it", arguments: [("42", 255, "h:7001"), ("1", 516, "h:7002"), ("18446744073709551615", 157, "h:7001")])
    func owner(user: String, partition: Int, messaging: String) throws {
        guard case .go(let directions) = try Self.answer(user) else {
            Issue.record("\(try Self.answer(user))")
            return
        }
        #expect(directions.partition == Partition(partition) && directions.messaging == messaging && directions.history == ["h:9001", "h:9002"])
        #expect(
            directions.json.description == """
                {"epoch":12,"history":["h:9001","h:9002"],"log":"\(Self.log)","messaging":"\(messaging)","partition":\(partition),"tls":false,"user":"\(user)"}
                """)
    }

    @Test("503 before an assignment, without an owner, without a log, and never a crash")
    func notNow() throws {
        #expect(try Self.answer("42", nil).status == 503)
        #expect(try Self.answer("42", Self.assignment(log: nil)).status == 503)
        // Partition 157 has an owner, 516 has, but 600 to 719 have none: user 7 lies in one of them or not, so look for one.
        let homeless = try #require((1...1_000).lazy.compactMap { UserID(UInt64($0)) }.first { $0.partition(of: 720).number >= 600 })
        let answer = try Self.answer(homeless.description)
        #expect(answer.status == 503 && answer.headers.contains { $0.name == "Retry-After" })
        var wild = Self.assignment()
        wild.members[ServerID(.messaging, 1)]?.owns = PartitionSet(700...100_000)
        #expect(try Self.answer(homeless.description, wild).status == (homeless.partition(of: 720).number >= 700 ? 200 : 503))
    }

    @Test("a user that is none is 400", arguments: ["0", "-1", "01", "1.0", "18446744073709551616", "", " 1", "one", "１"])
    func noUser(text: String) throws {
        #expect(try Self.answer(text).status == 400)
    }

    @Test("and so is nobody")
    func nobody() throws {
        #expect(ConnectAnswer(to: try Authenticator(.none).caller(authorization: "Bearer x", userID: nil), by: nil).status == 400)
    }
}
