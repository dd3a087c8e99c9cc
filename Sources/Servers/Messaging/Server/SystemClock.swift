import Glibc

enum SystemClock {
    static var now: Now { Now(monotonic_ms: read(CLOCK_MONOTONIC), wall_ms: read(CLOCK_REALTIME)) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
