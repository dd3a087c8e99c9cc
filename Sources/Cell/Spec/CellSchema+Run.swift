/// Where servers run.
extension CellSchema {
    static let run = Shape<RunSpec>.oneOf([
        .option("docker", docker, "Containers of a Docker Engine.", make: RunSpec.docker, take: { if case .docker(let docker) = $0 { docker } else { nil } }),
        .option("kubernetes", kubernetes, "Pods.", make: RunSpec.kubernetes, take: { if case .kubernetes(let kubernetes) = $0 { kubernetes } else { nil } }),
        .option(
            "process", process, "Processes beside the operator.", make: RunSpec.process, take: { if case .process(let process) = $0 { process } else { nil } }),
    ])

    private static let environment = Shape<[String: String]>.map(
        .environmentName, .line,
        refuse: { name in
            let secret = ["PASSWORD", "SECRET", "TOKEN", "PASSWD"].contains { name.uppercased().hasSuffix($0) }
            return secret
                ? ("looks like a secret, and everyone who sees the spec would see it", "Put it in a file, and give the file's path as \(name)_FILE") : nil
        })

    private static let process = Shape.group(
        RunSpec.Process(),
        [
            .optional("executable", \.executable, .text(.path), otherwise: "the cell-server beside cell-operator", "What is started."),
            .field("environment", \.environment, environment, "Variables of the servers, beside the operator's own."),
            .field("directory", \.directory, .text(.path), "Where logs and the embedded history are kept."),
        ])

    private static let docker = Shape.group(
        RunSpec.Docker(image: ""),
        [
            .field("image", \.image, .text(.image), required: true, "The image that has cell-server."),
            .optional("endpoint", \.endpoint, .text(.endpoint), otherwise: "DOCKER_HOST, else unix:///var/run/docker.sock", "Where the engine listens."),
            .field("network", \.network, .text(.network), "The containers' network."),
            .optional("tls", \.tls, clientTLS, otherwise: "none", "TLS to the engine."),
            .field("environment", \.environment, environment, "Variables of the servers."),
            .field("volumes", \.volumes, .list(of: .text(.volume)), "What containers see of the host."),
            .field("resources", \.resources, resources, "What a container may use."),
        ])

    private static let clientTLS = Shape.group(
        RunSpec.ClientTLS(),
        [
            .optional("ca", \.ca, .text(.path), otherwise: "none: the system's", "PEM file of who signed the engine's certificate."),
            .optional("certificate", \.certificate, .text(.path), otherwise: "none", "PEM file of the client's certificate, with key."),
            .optional("key", \.key, .text(.path), otherwise: "none", "PEM file of the client's key."),
        ])

    private static let resources = Shape.group(
        RunSpec.Resources(),
        [
            .optional("cpus", \.cpus_milli, .cores(10...1_024_000), otherwise: "no limit", "Cores."),
            .optional("memory", \.memory_bytes, .size(16 << 20...1 << 44, example: "4Gi"), otherwise: "no limit", "Memory."),
        ])

    private static let kubernetes = Shape.group(
        RunSpec.Kubernetes(image: ""),
        [
            .field("image", \.image, .text(.image), required: true, "The image that has cell-server."),
            .field("namespace", \.namespace, .text(.dnsLabel), "Where the pods are made."),
            .field("hostNetwork", \.hostNetwork, .flag, "Pods use their node's network."),
            .optional("serviceAccount", \.serviceAccount, .text(.dnsName), otherwise: "the namespace's default", "The pods' service account."),
            .field("nodeSelector", \.nodeSelector, .map(.labelKey, .labelValue), "Labels that a node must have."),
            .field("tolerations", \.tolerations, .list(of: .anything, distinct: false), "The pods' tolerations."),
            .field("volumes", \.volumes, .list(of: .anything, distinct: false), "The pods' volumes, each with a mountPath beside Kubernetes' own fields."),
            .field("resources", \.resources, resources, "What a pod may use."),
        ])
}
