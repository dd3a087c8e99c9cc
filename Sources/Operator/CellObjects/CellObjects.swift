import Cell

/// Serves the Cell objects of one namespace: follows them, and keeps each in step with Redis.
public final class CellObjects: Sendable {
    private let api: KubernetesAPI
    private let context: OperatorContext
    private let path: String
    private let only: Set<CellName>

    private enum Happening: Sendable {
        case listed([CellObject])
        case changed(CellObject)
        case deleted(CellObject)
        case ended(String)
        case failed(DriverError)
    }

    /// - Parameters:
    ///   - only: cells to serve; empty for all.
    ///   - environment: of `KUBECONFIG`, `HOME`, `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    /// - Throws: `DriverError` for credentials that cannot be used, `HTTPError`.
    public init(namespace: String, only: Set<CellName>, _ context: OperatorContext, environment: [String: String]) throws {
        api = try KubernetesAPI(try KubernetesAccess(environment: environment))
        self.context = context
        self.only = only
        path = "/apis/\(CellSchema.apiVersion)/namespaces/\(namespace)/\(CellSchema.plural)"
    }

    /// Until the task is cancelled; servers go on.
    public func run() async {
        let (happenings, happening) = AsyncStream.makeStream(of: Happening.self)
        let following = KubernetesFollowing<CellObject>(
            api: api, path: path, mark: { 0 }, listed: { items, _ in happening.yield(.listed(items)) },
            happened: { event in
                switch event {
                case .changed(let object): happening.yield(.changed(object))
                case .deleted(let object): happening.yield(.deleted(object))
                }
            }, failed: { happening.yield(.failed($0)) })
        await withDiscardingTaskGroup { group in
            group.addTask {
                await following.run()
                happening.finish()
            }
            var keepers: [String: CellObjectKeeper] = [:]
            var problem = ""
            for await event in happenings {
                switch event {
                case .listed(let objects):
                    problem = ""
                    let names = Set(objects.map(\.name))
                    for (name, keeper) in keepers.sorted(by: { $0.key < $1.key }) where !names.contains(name) { await keeper.gone() }
                    for object in objects { await take(object, &keepers, &group, happening) }
                case .changed(let object): await take(object, &keepers, &group, happening)
                case .deleted(let object): await keepers[object.name]?.gone()
                case .ended(let name): keepers[name] = nil
                case .failed(let error):
                    if problem != "\(error)" { context.log.warning("Cell objects cannot be followed: \(error)") }
                    problem = "\(error)"
                }
            }
            group.cancelAll()
        }
    }

    private func take(
        _ object: CellObject, _ keepers: inout [String: CellObjectKeeper], _ group: inout DiscardingTaskGroup,
        _ happening: AsyncStream<Happening>.Continuation
    ) async {
        if let keeper = keepers[object.name] { return await keeper.changed(object) }
        // The schema lets no other name in; an object of an older one may have it.
        guard let name = CellName(object.name), only.isEmpty || only.contains(name) else { return }
        let keeper = CellObjectKeeper(object, name, api, context)
        keepers[object.name] = keeper
        group.addTask {
            await keeper.run()
            happening.yield(.ended(object.name))
        }
    }
}
