import Testing

@testable import cellctl

@Suite("memory as time goes by")
struct MemoryCourseTests {
    private func course(_ own_KiB: [Int]) -> MemoryCourse {
        var course = MemoryCourse()
        for (minute, own) in own_KiB.enumerated() { course.add(MemoryCourse.Sample(at: .seconds(60 * minute), own_KiB: [0, own])) }
        return course
    }

    struct Example: CustomTestStringConvertible, Sendable {
        var name: String, own_KiB: [Int], first: Int, last: Int, perHour: Double
        var testDescription: String { name }
    }

    @Test(
        "growth is counted from where it had settled, and by the line through all samples since",
        arguments: [
            Example(name: "flat after a rise", own_KiB: [1_000, 5_000, 9_000, 9_000, 9_000, 9_000], first: 9_000, last: 9_000, perHour: 0),
            Example(name: "a leak of 10 KiB a minute", own_KiB: [500, 800, 1_000, 1_010, 1_020, 1_030], first: 1_000, last: 1_030, perHour: 600),
            Example(name: "a last sample that is high by chance", own_KiB: [0, 0, 100, 100, 100, 100, 100, 100, 107], first: 100, last: 107, perHour: 45),
            Example(name: "less than before", own_KiB: [0, 0, 300, 200, 100], first: 300, last: 100, perHour: -6_000),
        ])
    func growth(_ example: Example) throws {
        let growth = try #require(course(example.own_KiB).growth(of: 1, after: .seconds(120)))
        #expect(growth.first_KiB == example.first)
        #expect(growth.last_KiB == example.last)
        #expect(abs(growth.perHour_KiB - example.perHour) < 0.001)
    }

    @Test("of two samples nothing is said")
    func tooFew() { #expect(course([1, 2, 3, 4]).growth(of: 1, after: .seconds(120)) == nil) }
}
