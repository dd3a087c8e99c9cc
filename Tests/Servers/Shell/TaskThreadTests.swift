import Glibc
@testable import Servers
import Support
import Synchronization
import Testing

@Suite("A thread for tasks")
struct TaskThreadTests {
    @Test("tasks and what they await run on it, in spite of a full pool")
    func runsThere() async throws {
        let thread = try TaskThread("test")
        let first = await Task(executorPreference: thread) { pthread_self() }.value
        let after = await Task(executorPreference: thread) {
            await thread.sleep(for: .milliseconds(5))
            return await Self.nested()
        }.value
        #expect(first == after)
    }

    private static func nested() async -> pthread_t {
        await Task.yield()
        return pthread_self()
    }

    @Test("one that hangs is noticed")
    func hangs() async throws {
        let thread = try TaskThread("test")
        try await eventually("its first turn") { thread.stillFor < .milliseconds(300) }
        let release = Mutex(false)
        let hanging = Task(executorPreference: thread) { while !release.withLock({ $0 }) { usleep(1_000) } }
        try await eventually("a hang of half a second") { thread.stillFor > .milliseconds(500) }
        release.withLock { $0 = true }
        await hanging.value
        try await eventually("free again") { thread.stillFor < .milliseconds(300) }
    }

    @Test("who waits is woken by a ring, also by one that came before, and else by the time")
    func ringer() async throws {
        let thread = try TaskThread("test")
        let ringer = Ringer(on: thread)
        ringer.ring()
        let start = ContinuousClock.now
        await ringer.wait(until: start + .seconds(60))
        await ringer.wait(until: .now + .milliseconds(30))
        #expect(start.duration(to: .now) >= .milliseconds(30))
        let waiting = Task { await ringer.wait(until: .now + .seconds(60)) }
        await Task.yield()
        ringer.ring()
        await waiting.value
        #expect(start.duration(to: .now) < .seconds(30))
    }
}
