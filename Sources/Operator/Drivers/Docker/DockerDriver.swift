import Cell
import HTTP
import Redis
import Synchronization

/// Runs servers as containers of a Docker Engine. They outlive the operator; one that comes later knows them by their labels.
///
/// Names are fresh for every life, so a replacement never waits for a name, and containers that are not the cell's are never touched.
public final class DockerDriver: Driver {
    private let spec: RunSpec.Docker
    private let redis: RedisAddress
    private let work: DockerWork
    private let engine: DockerEngine
    private let puller: ImagePuller
    private let starting = Turnstile(8)
    private let task: Task<Void, Never>

    /// Begins to follow the engine's events. Whether the engine answers shows in `servers()`.
    ///
    /// - Parameter environment: of `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`.
    /// - Throws: `DriverError` for an endpoint that cannot be read and a Redis that containers cannot reach; `HTTPError`.
    public init(
        _ cell: CellName, _ spec: RunSpec.Docker, redis: RedisAddress, clock: OperatorClock, environment: [String: String], log: OperatorLog = OperatorLog()
    ) throws {
        try spec.check(redis)
        self.spec = spec
        self.redis = redis
        engine = try DockerEngine(try DockerEndpoint(spec, environment: environment))
        puller = ImagePuller(clock)
        let work = DockerWork(cell, engine, clock, log)
        self.work = work
        // The only one without a parent: it lives as long as the driver.
        task = Task { await work.run() }
    }

    deinit {
        task.cancel()
        work.books.endListening()
    }

    public func servers() async throws -> [RunningServer] { try await work.books.servers(\.lives.servers) }

    public func events() -> AsyncStream<DriverEvent> { work.books.listen() }

    // MARK: Starting

    public func start(_ life: ServerLife, as template: ServerTemplate) async throws {
        guard work.books.withBook({ $0.lives.begin(life) }) else { return }
        var made: String?
        do {
            try await starting.pass {
                let container = try await make(life, template)
                made = container
                try checkWanted(life)
                try await run(container)
                try checkWanted(life)
                let name = ServerLabels.name(work.cell, life)
                let steps = work.books.withBook {
                    $0.started(life, container: container, name: name, zone: template.zone, port: template.port, template: template.name, now: work.clock.now)
                }
                for step in steps { work.perform(step) }
            }
        } catch {
            work.books.withBook { [now = work.clock.now] in $0.lives.abandon(life, now: now) }
            if let made { work.books.spawn { [work] in await work.remove(made) } }
            throw Self.problem(life, error)
        }
    }

    /// It may have been killed before it ran.
    private func checkWanted(_ life: ServerLife) throws {
        guard work.books.withBook({ $0.lives.abandoned[life] == nil }) else {
            throw DriverError("\(life.id) was killed before its container ran", remedy: "Nothing has to be done.")
        }
    }

    /// - Returns: the container's id.
    private func make(_ life: ServerLife, _ template: ServerTemplate) async throws -> String {
        let name = ServerLabels.name(work.cell, life)
        let body = ContainerBody(spec, life, template, redis: redis)
        do { return try await engine.create(name, body) } catch let refusal as DockerEngine.Refusal {
            switch refusal.status {
            case 404 where try await !engine.hasImage(spec.image):
                try await puller.pull(spec.image, from: engine, spawn: work.books.spawn)
                try checkWanted(life)
                return try await engine.create(name, body)
            case 409: return try await taken(name, life, refusal)
            default: throw refusal
            }
        }
    }

    /// The container of that name, if it is this life's: an earlier call may have made it and lost the answer.
    private func taken(_ name: String, _ life: ServerLife, _ refusal: DockerEngine.Refusal) async throws -> String {
        guard let found = try await engine.inspect(name) else { throw refusal }
        if let labels = found.Config?.Labels.flatMap({ ServerLabels($0) }), labels.cell == work.cell, labels.life == life { return found.Id }
        throw DriverError("the container \(name) is somebody else's and stays", remedy: "Rename or remove it, if you want; the next server has another name.")
    }

    /// Asking twice does not start twice, so a lost answer is no reason to give up.
    private func run(_ container: String) async throws {
        for attempt in 1... {
            do { return try await engine.start(container) } catch let refusal as DockerEngine.Refusal where refusal.status < 500 || attempt == 3 {
                throw refusal
            } catch let error as DriverError where attempt == 3 {
                throw error
            } catch {
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    private static func problem(_ life: ServerLife, _ error: any Error) -> any Error {
        guard let refusal = error as? DockerEngine.Refusal else { return error }
        return DriverError("\(life.id) cannot run: \(refusal)", remedy: "Mend spec.run.docker, the image or the engine as it says.")
    }

    // MARK: Ending

    public func stop(_ life: ServerLife, grace: Duration) async throws {
        guard let entry = try await ask(life, "SIGTERM") else { return }
        work.books.spawn { [work] in await work.end(life, entry.handle, after: grace) }
    }

    public func kill(_ life: ServerLife) async throws {
        guard try await ask(life, "SIGKILL") == nil else { return }
        work.books.withBook { [now = work.clock.now] in $0.lives.abandon(life, now: now) }
    }

    /// - Returns: nil when there is nobody to ask.
    private func ask(_ life: ServerLife, _ signal: String) async throws -> LifeBook<ContainerBook.Details>.Entry? {
        guard let entry = work.books.withBook({ $0.lives.ask(life) }) else { return nil }
        work.books.tell(.server(entry.seen))
        do {
            try await engine.signal(entry.handle, signal)
            return entry
        } catch {
            work.books.withBook { $0.lives.unask(life) }
            throw Self.problem(life, error)
        }
    }

    /// Returns when the container is gone, or its removal takes long: it is forgotten all the same.
    public func forget(_ life: ServerLife) async throws {
        guard let container = work.books.withBook({ $0.forget(life) }) else { return }
        // Its last words go with it, so they are waited for.
        let until = work.clock.now + .seconds(2)
        do {
            while work.clock.now < until, work.books.withBook({ $0.unexplained[life] != nil }) { try await Task.sleep(for: .milliseconds(20)) }
        } catch is CancellationError {
            // Nobody waits any longer; the next look removes it.
        }
        work.books.withBook { $0.giveUpExplaining(life) }
        await work.remove(container)
    }
}
