import Cell
import HTTP
import Synchronization

/// Brings images that are missing: one pull of an image at a time, bounded, and after a failure not again before a pause that doubles.
final class ImagePuller: Sendable {
    /// A registry that says nothing for so long hangs.
    static let limits = HTTPTimeouts(connect: .seconds(3), idle: .seconds(60), total: .seconds(900))
    private static let first = Duration.seconds(5)
    private static let longest = Duration.seconds(300)

    private enum Stand {
        /// After a failure: the pause that there was since.
        case pulling(after: Duration?)
        case failed(DriverError, at: Moment, pause: Duration)
    }

    private let clock: OperatorClock
    private let stands = Mutex<[String: Stand]>([:])
    /// So long a start waits; the pull goes on without it.
    private let patience: Duration
    private let limits: HTTPTimeouts

    init(_ clock: OperatorClock, patience: Duration = .seconds(30), limits: HTTPTimeouts = ImagePuller.limits) {
        self.clock = clock
        self.patience = patience
        self.limits = limits
    }

    /// Returns when the image was pulled.
    ///
    /// - Parameter spawn: runs the pull beside the caller, who may not wait for its end.
    /// - Throws: `DriverError` with the registry's own reason; also while the pull is under way, or its last failure is recent.
    func pull(_ image: String, from engine: DockerEngine, spawn: (@escaping @Sendable () async -> Void) -> Void) async throws {
        if try begin(image) {
            spawn { [self] in
                let result: Result<Void, DriverError>
                do {
                    try await run(image, engine)
                    result = .success(())
                } catch {
                    result = .failure(Self.failure(image, error))
                }
                end(image, result)
            }
        }
        let until = clock.now + patience
        while clock.now < until {
            switch stands.withLock({ $0[image] }) {
            case nil: return
            case .failed(let error, _, _)?: throw error
            // Nothing but a pull lasts long enough for this.
            case .pulling?: try await Task.sleep(for: .milliseconds(50))
            }
        }
        throw DriverError("the image \(image) is still being pulled", remedy: "Wait, or bring it to the engine yourself.")
    }

    /// - Returns: whether the caller has to pull.
    private func begin(_ image: String) throws -> Bool {
        let (begins, failure) = stands.withLock { stands -> (Bool, DriverError?) in
            switch stands[image] {
            case .pulling?: return (false, nil)
            case .failed(let error, let at, let pause)? where clock.now < at + pause: return (false, error)
            case .failed(_, _, let pause)?:
                stands[image] = .pulling(after: pause)
                return (true, nil)
            case nil:
                stands[image] = .pulling(after: nil)
                return (true, nil)
            }
        }
        if let failure { throw failure }
        return begins
    }

    private func end(_ image: String, _ result: Result<Void, DriverError>) {
        stands.withLock { stands in
            guard case .failure(let error) = result else { return stands[image] = nil }
            var pause = Self.first
            if case .pulling(let last?)? = stands[image] { pause = min(Self.longest, last * 2) }
            stands[image] = .failed(error, at: clock.now, pause: pause)
        }
    }

    private func run(_ image: String, _ engine: DockerEngine) async throws {
        let stream = try await engine.pull(ImageReference(image), limits)
        var objects = JSONObjects()
        for try await bytes in stream {
            for object in try objects.add(bytes) {
                // The answer was 200 long ago: failures come in its lines.
                guard let line = try? EngineMessage.read(EngineMessage.Progress.self, from: object), let error = line.errorDetail?.message ?? line.error else {
                    continue
                }
                throw DriverError("the image \(image) cannot be pulled: \(error)", remedy: Self.remedy)
            }
        }
    }

    private static let remedy = "Check its name in spec.run.docker.image, and the registry; or bring it to the engine yourself (docker load, docker import)."

    private static func failure(_ image: String, _ error: any Error) -> DriverError {
        switch error {
        case let error as DriverError where error.problem.contains(image): error
        case let error as DriverError: DriverError("the image \(image) cannot be pulled: \(error.problem)", remedy: remedy)
        case let error as DockerEngine.Refusal: DriverError("the image \(image) cannot be pulled: \(error.message)", remedy: remedy)
        case let error as HTTPError: DriverError("the pull of the image \(image) was given up: \(error.problem)", remedy: remedy)
        default: DriverError("the image \(image) cannot be pulled: \(error)", remedy: remedy)
        }
    }
}
