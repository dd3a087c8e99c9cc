import Blackboard
import Cell

/// Keeps one Cell object and Redis in step: its spec goes to Redis, what the cell's operator tells comes back.
actor CellObjectKeeper {
    private let api: KubernetesAPI
    private let context: OperatorContext
    private let board: CellBlackboard
    private let bell: Bell
    private var object: CellObject
    private var isGone = false
    /// Of the events, what is told already; nil before the first look.
    private var eventsToldTo: String?
    private var refusalTold: Int64 = 0
    private var budget: JSON?
    private var budgetVersion: String?
    private var problem: String?

    /// What others change is seen at once; this often all is looked at anyhow.
    private static let lookEvery = Duration.seconds(30)
    /// Changes come in flocks: a status is written at most this often, and by one who does not lead this much later.
    private static let gather = Duration.milliseconds(250)

    init(_ object: CellObject, _ name: CellName, _ api: KubernetesAPI, _ context: OperatorContext) {
        self.object = object
        self.api = api
        self.context = context
        board = CellBlackboard(name, on: context.redis)
        bell = Bell()
    }

    func changed(_ object: CellObject) {
        self.object = object
        bell.ring()
    }

    func gone() {
        isGone = true
        bell.ring()
    }

    /// Until the object is gone or the task is cancelled.
    func run() async {
        let listener: BlackboardListener
        do { listener = try BlackboardListener(to: [.spec, .status, .events], of: board) } catch { return context.log.error("cell/\(object.name): \(error)") }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [bell] in for await _ in listener.changes { bell.ring() } }
            group.addTask { await self.keep() }
            await group.next()
            group.cancelAll()
        }
        listener.close()
    }

    private func keep() async {
        while !Task.isCancelled, !isGone {
            var wait = Self.lookEvery
            do {
                try await look()
                problem = nil
                // Nobody tells us of the last pod's end.
                if object.isLeaving { wait = .seconds(1) }
            } catch let refusal as KubernetesAPI.Refusal where refusal.status == 409 || refusal.status == 404 {
                // Somebody else was quicker: the watch tells what is there now.
                wait = .seconds(1)
            } catch {
                if "\(error)" != problem { context.log.warning("cell/\(object.name): \(error)") }
                problem = "\(error)"
                wait = .seconds(2)
            }
            // Ends early only when the task is cancelled, which the loop sees.
            try? await Task.sleep(for: Self.gather)
            await bell.wait(atMost: wait)
        }
    }

    private func look() async throws {
        let object = object
        let stored = try await board.spec()
        let pods = object.isLeaving && object.hasFinalizer && stored == nil ? try await hasPods(object) : nil
        let plan = CellObjectPlan(object, stored: stored, pods: pods)
        for step in plan.steps { try await take(step, object) }
        // What it led to is told when it is there.
        guard plan.steps.isEmpty else { return }
        let told = stored == nil ? nil : try await board.status()
        let leads = told.map { $0.leader == context.name } ?? true
        if !leads { try await Task.sleep(for: .seconds(1)) }
        // Meanwhile somebody may have told it.
        if self.object.metadata.resourceVersion == object.metadata.resourceVersion {
            try await write(CellObjectStatus(object, plan, stored: stored, told: told, now_ms: context.clock.unix_ms), object)
        }
        if let refused = plan.problem, refusalTold != object.generation {
            try await tell([CellObjectEvents.refusal(refused, of: object, by: context.name, now_ms: context.clock.unix_ms)], object)
            refusalTold = object.generation
        }
        try await tellEvents(object, leads: leads)
        if plan.isApplied, let stored { try await keepBudget(stored, object) }
    }

    private func take(_ step: CellObjectStep, _ object: CellObject) async throws {
        switch step {
        case .addFinalizer: try await setFinalizers((object.metadata.finalizers ?? []) + [CellObject.finalizer], object)
        case .removeFinalizer: try await setFinalizers((object.metadata.finalizers ?? []).filter { $0 != CellObject.finalizer }, object)
        case .put(let json, let generation):
            do { _ = try await board.putSpec(json, replacing: generation) } catch let error as BlackboardError {
                // Another operator was quicker, or somebody's cellctl: it is looked at again.
                guard case .generation = error.code else { throw error }
            }
            bell.ring()
        case .markDeleted:
            try await board.markDeleted()
            context.log.info("cell/\(object.name): is deleted; its servers stop first")
        }
    }

    /// Of the object that was read alone: 409 where it has changed.
    private func setFinalizers(_ finalizers: [String], _ object: CellObject) async throws {
        let metadata: [String: JSON] = [
            "finalizers": .list(finalizers.map { .text($0) }), "resourceVersion": .text(object.metadata.resourceVersion ?? ""),
            "uid": .text(object.metadata.uid ?? ""),
        ]
        try await api.patch(KubernetesMessage.Versioned.self, object.path, .merge, .object(["metadata": .object(metadata)]))
    }

    private func write(_ status: CellObjectStatus, _ object: CellObject) async throws {
        guard !status.isTold(by: object) else { return }
        let body: JSON = .object(["metadata": .object(["uid": .text(object.metadata.uid ?? "")]), "status": status.json])
        try await api.patch(KubernetesMessage.Versioned.self, "\(object.path)/status", .merge, body)
    }

    private func hasPods(_ object: CellObject) async throws -> Bool {
        guard let cell = CellName(object.name) else { return false }
        let path = "/api/v1/namespaces/\(object.namespace)/pods"
        return try await !api.list(KubernetesMessage.Pod.self, path, query: ServerLabels.selector(cell)).items.isEmpty
    }

    // MARK: Events

    /// Tells what happened since the last look; one who does not lead only keeps up.
    private func tellEvents(_ object: CellObject, leads: Bool) async throws {
        guard let place = eventsToldTo else {
            eventsToldTo = try await board.latestEvents(1).last?.id ?? "0"
            return
        }
        let events = try await board.events(after: place, limit: 500)
        guard let last = events.last else { return }
        if leads, !object.isLeaving || object.hasFinalizer { try await tell(CellObjectEvents.bodies(events, of: object, by: context.name), object) }
        eventsToldTo = last.id
    }

    private func tell(_ bodies: [JSON], _ object: CellObject) async throws {
        for body in bodies {
            do {
                try await api.create(KubernetesMessage.Versioned.self, "/api/v1/namespaces/\(object.namespace)/events", body)
            } catch let refusal as KubernetesAPI.Refusal where refusal.status == 409 {
                // Told already.
            } catch let refusal as KubernetesAPI.Refusal where refusal.status == 403 || refusal.status == 404 {
                // A namespace on its way out takes none, and not everyone may write them: the cell's own events are in Redis.
                return
            }
        }
    }

    // MARK: The budget

    private func keepBudget(_ stored: StoredSpec, _ object: CellObject) async throws {
        // A spec that cannot be read is told of by the operator of its cell.
        guard let spec = try? CellSpec.read(json: stored.json, source: "Redis"), case .kubernetes = spec.run else { return }
        let version = try await policyVersion()
        let body = DisruptionBudget.body(spec, object, version: version)
        guard body != budget else { return }
        try await api.patch(KubernetesMessage.Versioned.self, DisruptionBudget.path(object, version: version), .apply, body)
        budget = body
    }

    private func policyVersion() async throws -> String {
        if let budgetVersion { return budgetVersion }
        let told = try await api.get(KubernetesMessage.ServerVersion.self, "/version")
        let version = (Int(told.minor.filter(\.isNumber)) ?? 0) >= 21 || told.major != "1" ? "policy/v1" : "policy/v1beta1"
        budgetVersion = version
        return version
    }
}
