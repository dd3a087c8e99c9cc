import Blackboard
import Cell
import Redis
import Synchronization
import Web
import YAML

extension ServerShell {
    /// How a server's life ended, as its exit code.
    enum End: Int32 {
        case stopped = 0, cannotRun = 1, superseded = 3
    }

    /// Lives until it is asked to stop. On the shell's thread.
    func run() async -> End {
        let web: WebServer
        do {
            web = try WebServer(host: arguments.bind, port: 0, routes: Endpoints.routes(of: self))
        } catch {
            log.error("cannot serve its health: \(error)")
            return .cannotRun
        }
        with { $0.http = "\(arguments.reachable):\(web.port)" }
        if let file = arguments.readyFile, !ReadyFile.write("\(arguments.bind):\(web.port)", to: file) {
            log.warning("cannot write \(file): whoever asks by it whether this server is ready, gets no")
        }
        log.info("cell-server \(Build.version), incarnation \(arguments.incarnation), health at http://\(arguments.reachable):\(web.port)/statusz")
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.follow() }
            group.addTask { await self.heartbeat() }
            group.addTask { await self.work() }
            await stopBell.wait(until: .now + .seconds(1_000_000_000))
            await stop()
            group.cancelAll()
            heartbeatBell.ring()
        }
        await web.stop(grace: .milliseconds(100))
        return with { $0.superseded } == nil ? .stopped : .superseded
    }

    /// Asks it to stop; from any thread.
    func askToStop() { stopBell.ring() }

    private func follow() async {
        do { try await follower.run() } catch { log.error("cannot follow the assignment: \(error)") }
    }

    /// Waits for the spec, and starts the core.
    private func work() async {
        while !Task.isCancelled, stage != .stopping {
            if await makeAndStart() { return }
            await workBell.wait(until: .now + .seconds(1))
        }
    }

    private func makeAndStart() async -> Bool {
        guard let spec = await readSpec() else { return false }
        guard let maker = maker() else {
            wait(.preparing("a build of cell-server that knows \(arguments.kind.rawValue); this is \(Build.version)"))
            return false
        }
        do {
            let core = try maker(context(spec))
            guard try await start(core) else { return true }
            enter(core)
            return true
        } catch {
            wait(.starting("\(error)"))
            return false
        }
    }

    /// Starts `core` on Swift's own pool, since what it opens may take its time.
    /// - Returns: false when the server was asked to stop meanwhile; nobody waits for the core then.
    private func start(_ core: any ServerCore) async throws -> Bool {
        let result = StartResult()
        Task(executorPreference: globalConcurrentExecutor) { [workBell] in
            result.set(await Result { try await core.start() })
            workBell.ring()
        }
        while stage != .stopping {
            if let result = result.value {
                try result.get()
                return true
            }
            await workBell.wait(until: .now + .seconds(1))
        }
        return false
    }

    private func readSpec() async -> CellSpec? {
        do {
            guard let stored = try await board.spec() else {
                wait(.preparing("the spec of cell \(arguments.cell), which is not in \(arguments.redis)"))
                return nil
            }
            let spec = try CellSpec.read(json: stored.json, source: RedisKeys(arguments.cell).spec)
            with {
                $0.spec = spec
                $0.generation = stored.generation
            }
            return spec
        } catch let error as BlackboardError {
            wait(.preparing(error.redis == nil ? "\(error)" : "Redis: \(error)"))
        } catch {
            wait(.preparing("a spec it can read: \(error)"))
        }
        return nil
    }

    /// Tells that it stops, lets the core end its work, and leaves.
    private func stop() async {
        let core = with { state in
            defer { state.stage = .stopping }
            return state.stage == .stopping ? nil : state.core
        }
        log.info("is stopping")
        heartbeatBell.ring()
        workBell.ring()
        let grace = .milliseconds(follower.known.settings?.moveGrace_ms ?? 10_000) + Duration.seconds(5)
        if let core { await finish(core, within: grace) }
        with { $0.hasLeft = true }
        guard with({ $0.superseded }) == nil else { return }
        do {
            try await board.leave(arguments.server, arguments.incarnation)
        } catch {
            log.warning("leaves without telling Redis: \(error)")
        }
        log.info("has stopped")
    }

    private func finish(_ core: any ServerCore, within grace: Duration) async {
        let ended = Ringer(on: thread)
        let ending = Task(executorPreference: globalConcurrentExecutor) {
            await core.stop()
            ended.ring()
        }
        let deadline = ContinuousClock.now + grace
        await ended.wait(until: deadline)
        if ContinuousClock.now >= deadline { log.warning("gives up what is left after \(grace.components.seconds) s") }
        ending.cancel()
    }
}

/// How the start of a core ended; nil until it did.
private final class StartResult: Sendable {
    private let held = Mutex<Result<Void, any Error>?>(nil)
    var value: Result<Void, any Error>? { held.withLock { $0 } }
    func set(_ result: Result<Void, any Error>) { held.withLock { $0 = result } }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
