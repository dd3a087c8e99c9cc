import Cell
import HTTP

/// Keeps up with one collection: lists it, watches it from there, and lists it again whenever something may have been missed.
struct KubernetesFollowing<Item: Decodable & Sendable>: Sendable {
    let api: KubernetesAPI
    let path: String
    /// Like `&labelSelector=…`.
    var query = ""
    /// Before a list is asked for.
    let mark: @Sendable () -> Int
    let listed: @Sendable ([Item], _ mark: Int) async -> Void
    let happened: @Sendable (WatchEvents<Item>.Event) async -> Void
    /// Nothing is known any more, and why.
    let failed: @Sendable (DriverError) async -> Void

    /// Between two openings of a watch, and the most after several that brought nothing.
    private static var first: Duration { .seconds(1) }
    private static var longest: Duration { .seconds(4) }

    /// Until the task is cancelled.
    func run() async {
        var version: String?
        var pause = Self.first
        while !Task.isCancelled {
            let began = ContinuousClock.now
            do {
                let from: String
                if let version { from = version } else { from = try await list() }
                let end = try await watch(from)
                version = end.version
                if end.told { pause = Self.first } else { pause = min(Self.longest, pause * 2) }
            } catch is WatchEvents<Item>.Stale {
                version = nil
                pause = min(Self.longest, pause * 2)
            } catch {
                version = nil
                if Task.isCancelled { return }
                await failed(Self.problem(error, path))
                pause = min(Self.longest, pause * 2)
            }
            let next = began + pause
            if next > .now { try? await Task.sleep(until: next) }
        }
    }

    private func list() async throws -> String {
        let mark = mark()
        let (items, version) = try await api.list(Item.self, path, query: query)
        await listed(items, mark)
        return version
    }

    /// One watch, until it ends.
    ///
    /// - Returns: from where to go on, and whether it said anything; one that lasted as long as was asked for counts as that.
    private func watch(_ version: String) async throws -> (version: String?, told: Bool) {
        let began = ContinuousClock.now
        let stream: HTTPStream
        do { stream = try await api.watch(path, query: query, from: version) } catch let refusal as KubernetesAPI.Refusal
            where ![401, 403].contains(refusal.status)
        {
            // Gone, too many, a problem of its own: lists are answered, so they tell meanwhile.
            throw WatchEvents<Item>.Stale(description: refusal.message)
        }
        var events = WatchEvents<Item>(from: version)
        var told = false
        do {
            for try await bytes in stream {
                for event in try events.add(bytes) {
                    told = true
                    await happened(event)
                }
            }
        } catch let error as HTTPError where error.code == .lost || error.code == .timeout {
            // It was cut, or dead: whether anybody still answers shows when everything is listed.
            return (nil, true)
        }
        return (events.version, told || ContinuousClock.now - began > .seconds(10))
    }

    private static func problem(_ error: any Error, _ path: String) -> DriverError {
        switch error {
        case let error as DriverError: return error
        case let refusal as KubernetesAPI.Refusal:
            let remedy =
                switch refusal.status {
                case 401: "The token or certificate is not known there, or has expired: give the operator another."
                case 403: "Give the operator's account the right to list and watch there (manifests/kubernetes/rbac.yaml)."
                case 404: "Apply manifests/kubernetes/crd.yaml."
                default: "Look into the API server's log."
                }
            return DriverError("\(refusal)", remedy: remedy)
        default: return DriverError("Kubernetes: \(error)", remedy: "Look into the API server's log.")
        }
    }
}
