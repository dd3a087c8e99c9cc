import Cell
import Redis

/// What a container is made as: the body of `POST /containers/create`.
struct ContainerBody: Encodable, Equatable {
    struct Host: Encodable, Equatable {
        var NetworkMode: String
        var Binds: [String]
        var Memory: Int?
        var MemorySwap: Int?
        var CpuPeriod: Int?
        var CpuQuota: Int?
        var RestartPolicy = ["Name": "no"]
    }

    struct Endpoint: Encodable, Equatable { var Aliases: [String] }
    struct Networking: Encodable, Equatable { var EndpointsConfig: [String: Endpoint] }

    var Image: String
    var Entrypoint: [String]
    var Cmd: [String]
    var Env: [String]
    var Labels: [String: String]
    var StopSignal = "SIGTERM"
    var HostConfig: Host
    var NetworkingConfig: Networking?

    init(_ spec: RunSpec.Docker, _ life: ServerLife, _ template: ServerTemplate, redis: RedisAddress) {
        Image = spec.image
        Entrypoint = ["cell-server"]
        Cmd = Self.arguments(spec, life, template, redis)
        Env = spec.environment.merging(["CELL_REDIS": redis.withPassword]) { $1 }.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        Labels = ServerLabels(life, template, build: spec.image).containerLabels
        HostConfig = Host(NetworkMode: spec.network, Binds: spec.volumes)
        if let memory = spec.resources.memory_bytes {
            HostConfig.Memory = memory
            // Without swap beside it: a server that swaps is slower than its replacement.
            HostConfig.MemorySwap = memory
        }
        if let cpus = spec.resources.cpus_milli {
            HostConfig.CpuPeriod = 100_000
            HostConfig.CpuQuota = cpus * 100
        }
        if spec.network != "host" {
            NetworkingConfig = Networking(EndpointsConfig: [spec.network: Endpoint(Aliases: [Self.alias(life)])])
        }
    }

    /// The name by which the network's other members reach it.
    static func alias(_ life: ServerLife) -> String {
        // At most a DNS label. Incarnations differ between cells, too.
        String("\(life.id)-\(life.incarnation)".prefix(63))
    }

    private static func arguments(_ spec: RunSpec.Docker, _ life: ServerLife, _ template: ServerTemplate, _ redis: RedisAddress) -> [String] {
        var arguments = template.arguments(life, redis)
        if spec.network != "host" { arguments += ["--bind", "0.0.0.0", "--advertise", alias(life)] }
        return arguments
    }
}

extension RunSpec.Docker {
    /// - Throws: when servers in containers could not reach this Redis.
    func check(_ redis: RedisAddress) throws(DriverError) {
        guard network != "host", case .tcp(let host, _) = redis.endpoint, host == "localhost" || host == "::1" || host.hasPrefix("127.") else { return }
        throw DriverError(
            "Redis at \(redis) is this machine's loopback, which containers on the network \(network) cannot reach",
            remedy: "Give the operator Redis's address in that network, or write network: host.")
    }
}
