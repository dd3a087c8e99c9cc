import Cell
import FoundationEssentials
import Redis

/// What a pod is made as: the body of `POST /api/v1/namespaces/NAMESPACE/pods`.
struct PodBody {
    /// The Cell object that the pod goes with.
    struct Owner: Equatable, Sendable {
        var name: String
        var uid: String
    }

    /// The one container.
    static let container = "server"
    /// In which a server writes where it answers `/readyz`, for its readiness probe: a path inside the pod.
    static let readyFile = "/tmp/cell-ready"
    /// A server that somebody else deletes has so long.
    static let grace_s = 30

    let json: JSON

    /// - Throws: `DriverError` for a volume without a place in the pod.
    init(_ spec: RunSpec.Kubernetes, _ life: ServerLife, _ template: ServerTemplate, redis: RedisAddress, owner: Owner?) throws(DriverError) {
        let labels = ServerLabels(life, template, build: spec.image)
        let volumes = try spec.podVolumes()
        var metadata: [String: JSON] = [
            "name": .text(ServerLabels.podName(template.cell, life)), "labels": .texts(labels.podLabels), "annotations": .texts(labels.podAnnotations),
        ]
        if let owner {
            metadata["ownerReferences"] = .list([Self.reference(owner)])
        }
        var pod: [String: JSON] = [
            "containers": .list([Self.container(spec, life, template, redis, mounts: volumes.mounts)]),
            // A server has one life: another comes in its place, never itself again.
            "restartPolicy": .text("Never"),
            "terminationGracePeriodSeconds": .integer(Self.grace_s),
            // Servers do not speak to Kubernetes.
            "automountServiceAccountToken": .flag(false),
            "enableServiceLinks": .flag(false),
            "nodeSelector": .texts(spec.nodeSelector.merging(template.zone.isEmpty ? [:] : [Self.zoneKey: template.zone]) { $1 }),
            "tolerations": .list(spec.tolerations.map { .canonical($0) }),
            "volumes": .list(volumes.volumes),
        ]
        pod["serviceAccountName"] = spec.serviceAccount.map { .text($0) }
        if spec.hostNetwork {
            pod["hostNetwork"] = .flag(true)
            pod["dnsPolicy"] = .text("ClusterFirstWithHostNet")
        }
        pod["topologySpreadConstraints"] = .list(Self.spread(template.cell, life.id.kind, zones: template.zone.isEmpty))
        json = .object(["apiVersion": .text("v1"), "kind": .text("Pod"), "metadata": .object(metadata), "spec": .object(pod)])
    }

    /// What is deleted with its owner, by the cluster itself.
    static func reference(_ owner: Owner) -> JSON {
        .object([
            "apiVersion": .text(CellSchema.apiVersion), "kind": .text(CellSchema.kind), "name": .text(owner.name), "uid": .text(owner.uid),
            "controller": .flag(true), "blockOwnerDeletion": .flag(false),
        ])
    }

    private static let zoneKey = "topology.kubernetes.io/zone"

    /// One node's death, or one zone's, takes as few of a kind as can be; where there is but one of them, all go there.
    private static func spread(_ cell: CellName, _ kind: ServerKind, zones: Bool) -> [JSON] {
        (zones ? [zoneKey, "kubernetes.io/hostname"] : ["kubernetes.io/hostname"]).map { key in
            .object([
                "maxSkew": .integer(1), "topologyKey": .text(key), "whenUnsatisfiable": .text("ScheduleAnyway"),
                "labelSelector": .object(["matchLabels": .texts([ServerLabels.cellKey: "\(cell)", ServerLabels.kindKey: kind.rawValue])]),
            ])
        }
    }

    private static func container(
        _ spec: RunSpec.Kubernetes, _ life: ServerLife, _ template: ServerTemplate, _ redis: RedisAddress, mounts: [JSON]
    ) -> JSON {
        let probe: [String: JSON] = [
            "exec": .object(["command": .list(["cell-server", "ready", readyFile].map { .text($0) })]),
            "initialDelaySeconds": .integer(2), "periodSeconds": .integer(10), "timeoutSeconds": .integer(3), "failureThreshold": .integer(2),
        ]
        return .object([
            "name": .text(container), "image": .text(spec.image), "imagePullPolicy": .text("IfNotPresent"),
            "command": .list([.text("cell-server")]),
            "args": .list(arguments(spec, life, template, redis).map { .text($0) }),
            "env": .list(environment(template.cell, redis)),
            "readinessProbe": .object(probe),
            "resources": .object(resources(spec.resources)),
            "volumeMounts": .list(mounts),
            // A server that fails says why in its last lines.
            "terminationMessagePolicy": .text("FallbackToLogsOnError"),
        ])
    }

    private static func resources(_ resources: RunSpec.Resources) -> [String: JSON] {
        var limits: [String: JSON] = [:]
        limits["cpu"] = resources.cpus_milli.map { .text("\($0)m") }
        limits["memory"] = resources.memory_bytes.map { .text("\($0)") }
        // What is not asked for apart is asked for as the limit.
        return limits.isEmpty ? [:] : ["limits": .object(limits)]
    }

    private static func arguments(_ spec: RunSpec.Kubernetes, _ life: ServerLife, _ template: ServerTemplate, _ redis: RedisAddress) -> [String] {
        var arguments = template.arguments(life, redis)
        // A Redis on loopback says that all is on one machine, on whose loopback the servers are, too.
        if !redis.isLoopback { arguments += ["--bind", "$(POD_IP)", "--advertise", "$(POD_IP)"] }
        return arguments
    }

    private static func environment(_ cell: CellName, _ redis: RedisAddress) -> [JSON] {
        var variables: [JSON] = [
            .object(["name": .text("POD_IP"), "valueFrom": .object(["fieldRef": .object(["fieldPath": .text("status.podIP")])])]),
            .object(["name": .text("CELL_READY_FILE"), "value": .text(readyFile)]),
        ]
        if redis.password != nil {
            let secret: JSON = .object(["name": .text(secretName(cell)), "key": .text(secretKey)])
            variables.append(.object(["name": .text("CELL_REDIS"), "valueFrom": .object(["secretKeyRef": secret])]))
        }
        return variables
    }

    /// Holds Redis's address with its password, where it has one.
    static func secretName(_ cell: CellName) -> String { "cell-\(cell)-redis" }
    static let secretKey = "address"
}

extension RunSpec.Kubernetes {
    /// - Throws: when servers in pods could not reach this Redis.
    func check(_ redis: RedisAddress) throws(DriverError) {
        guard !hostNetwork, redis.isLoopback else { return }
        throw DriverError(
            "Redis at \(redis) is this machine's loopback, which pods cannot reach",
            remedy: "Give the operator Redis's address in the cluster, or write hostNetwork: true where everything is on one machine.")
    }

    /// Our volumes are Kubernetes' own with the place in the container beside them; a pod has the two apart.
    func podVolumes() throws(DriverError) -> (volumes: [JSON], mounts: [JSON]) {
        var volumes: [JSON] = []
        var mounts: [JSON] = []
        for (index, text) in self.volumes.enumerated() {
            guard case .object(var members)? = (try? JSONDecoder().decode(AnyJSON.self, from: Data(text.utf8)))?.json, let name = members["name"],
                members["mountPath"] != nil
            else {
                throw DriverError("spec.run.kubernetes.volumes[\(index)] has no name or no mountPath", remedy: "Write both beside the volume's own fields.")
            }
            var mount: [String: JSON] = ["name": name]
            for key in ["mountPath", "readOnly", "subPath"] { mount[key] = members.removeValue(forKey: key) }
            volumes.append(.object(members))
            mounts.append(.object(mount))
        }
        return (volumes, mounts)
    }
}

extension RedisAddress {
    /// Whether only this machine reaches it.
    var isLoopback: Bool {
        switch endpoint {
        case .unix: true
        case .tcp(let host, _): host == "localhost" || host == "::1" || host.hasPrefix("127.")
        }
    }
}

extension JSON {
    static func texts(_ members: [String: String]) -> JSON { .object(members.mapValues { .text($0) }) }
}
