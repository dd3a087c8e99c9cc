import Cell
@testable import Servers
import Testing

@Suite("When a report is sent")
struct ReportScheduleTests {
    let start = ContinuousClock.now
    let first = Report(incarnation: Incarnation("a1")!, zone: "", pid: 1, build: "1")

    func schedule() -> ReportSchedule {
        var schedule = ReportSchedule()
        schedule.wasSent(schedule.next(first, concerned: .none, now: start), now: start)
        return schedule
    }

    @Test("the first is urgent, also again after it failed")
    func first_() {
        let schedule = ReportSchedule()
        #expect(schedule.next(first, concerned: .none, now: start) == .init(report: first, urgent: true))
        #expect(schedule.next(first, concerned: .none, now: start + .milliseconds(500)) == .init(report: first, urgent: true))
    }

    @Test("an unchanged one is sent once a second")
    func unchanged() {
        #expect(schedule().next(first, concerned: .none, now: start + .milliseconds(500)) == .init(report: nil, urgent: false))
        #expect(schedule().next(first, concerned: .none, now: start + .milliseconds(1_000)) == .init(report: first, urgent: false))
    }

    @Test("what others wait for is urgent, loads and positions are not")
    func changed() {
        let cases: [(String, Bool, (inout Report) -> Void)] = [
            ("state", true, { $0.state = .ready }), ("address", true, { $0.address = "a:1" }), ("warm", true, { $0.warm = PartitionSet(0...3) }),
            ("left", true, { $0.left = PartitionSet(0...3) }), ("connections", false, { $0.connections = 7 }),
            ("positions", false, { $0.positions = ["1": 5] }),
            ("epoch", false, { $0.epoch = Epoch(7) }), ("words", false, { $0.waitsFor = "something" }),
        ]
        for (name, urgent, change) in cases {
            var report = first
            change(&report)
            #expect(schedule().next(report, concerned: .none, now: start + .milliseconds(10)) == .init(report: report, urgent: urgent), "\(name)")
        }
    }
    @Test(
        "having applied what concerns this server is urgent, once",
        arguments: [(5, 7, 7, true), (5, 7, 9, true), (7, 7, 9, false), (5, 7, 6, false), (5, 0, 9, false)])
    func applied(sent: Int64, concerned: Int64, now epoch: Int64, urgent: Bool) {
        var report = first
        report.epoch = Epoch(sent)
        var schedule = ReportSchedule()
        schedule.wasSent(schedule.next(report, concerned: .none, now: start), now: start)
        report.epoch = Epoch(epoch)
        #expect(schedule.next(report, concerned: Epoch(concerned), now: start) == .init(report: report, urgent: urgent))
    }
}
