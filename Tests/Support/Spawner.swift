import CLinux
import Glibc
import Synchronization
import Threads

/// Starts programs from one thread that never ends: the kernel kills a child with `--pdeathsig` when the *thread* that started it ends.
final class Spawner: Sendable {
    static let shared = Spawner()

    private struct Order: Sendable {
        var line: [String]
        var input, output, errors: String
        var number: Int
    }

    private struct Desk {
        var orders: [Order] = []
        var results: [Int: Result<pid_t, SpawnError>] = [:]
        var next = 0
        var isOpen = false
    }

    private let desk = Mutex(Desk())
    private let bell = Result { () throws(ThreadError) in try Doorbell() }

    func spawn(_ line: [String], input: String, output: String, errors: String) throws -> pid_t {
        let bell = try bell.get()
        let (number, opens) = desk.withLock { desk in
            desk.next += 1
            desk.orders.append(Order(line: line, input: input, output: output, errors: errors, number: desk.next))
            defer { desk.isOpen = true }
            return (desk.next, !desk.isOpen)
        }
        if opens { try OwnThread.start("spawner") { self.work(bell) } }
        bell.ring()
        while true {
            if let result = desk.withLock({ $0.results.removeValue(forKey: number) }) { return try result.get() }
            usleep(500)
        }
    }

    private func work(_ bell: Doorbell) {
        while true {
            var watched = pollfd(fd: bell.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&watched, 1, -1)
            bell.quiet()
            let orders = desk.withLock { desk in
                defer { desk.orders = [] }
                return desk.orders
            }
            for order in orders {
                let result = Self.start(order)
                desk.withLock { $0.results[order.number] = result }
            }
        }
    }

    private static func start(_ order: Order) -> Result<pid_t, SpawnError> {
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 0, order.input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&files, 1, order.output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&files, 2, order.errors, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The spawning thread blocks SIGPIPE; the child shall not.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var arguments: [UnsafeMutablePointer<CChar>?] = order.line.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid = pid_t()
        let code = posix_spawnp(&pid, order.line[0], &files, &attributes, &arguments, environ)
        return code == 0 ? .success(pid) : .failure(SpawnError(program: order.line.joined(separator: " "), code: code))
    }
}

struct SpawnError: Error, CustomStringConvertible {
    var program: String
    var code: Int32
    var description: String { "\(program): \(String(cString: strerror(code)))" }
}
