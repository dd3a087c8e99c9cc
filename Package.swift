// swift-tools-version: 6.0
import PackageDescription

/// A C library of the system, beside its only wrapper.
func library(_ name: String, in folder: String, debian package: String) -> Target {
    .systemLibrary(name: name, path: "Sources/\(folder)/\(name)", providers: [.apt([package])])
}

/// One room of the house: its Swift files, without the module maps that lie in it.
func room(_ name: String, at folder: String? = nil, without: [String] = [], _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(folder ?? name)", exclude: without)
}

/// `without`: programs and inputs in other languages that lie beside the tests.
func tests(_ name: String, without: [String] = [], _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: dependencies + ["Support"], path: "Tests/\(name)", exclude: without)
}

let package = Package(
    name: "cell",
    products: [
        .executable(name: "cellctl", targets: ["cellctl"]),
        .executable(name: "cell-operator", targets: ["cell-operator"]),
        .executable(name: "cell-server", targets: ["cell-server"]),
        .executable(name: "stream-bench", targets: ["stream-bench"]),
    ],
    targets: [
        // What a cell is. Values only.
        room("Cell"),

        // One folder per system a cell talks to.
        library("CLinux", in: "Clients", debian: "libc6-dev"),
        room("Threads", at: "Clients/Threads", ["CLinux"]),
        library("CHiredis", in: "Clients/Redis", debian: "libhiredis-dev"),
        room("Redis", at: "Clients/Redis", without: ["CHiredis"], ["CHiredis", "CLinux", "Threads"]),
        library("CRdkafka", in: "Clients/Kafka", debian: "librdkafka-dev"),
        room("Kafka", at: "Clients/Kafka", without: ["CRdkafka"], ["CRdkafka"]),
        room("Cassandra", at: "Clients/Cassandra", ["CLinux", "TLS", "Threads"]),
        library("CSQLite", in: "Clients/SQLite", debian: "libsqlite3-dev"),
        room("SQLite", at: "Clients/SQLite", without: ["CSQLite"], ["CSQLite", "Threads"]),
        library("CCurl", in: "Clients/HTTP", debian: "libcurl4-openssl-dev"),
        room("HTTP", at: "Clients/HTTP", without: ["CCurl"], ["CCurl", "Threads"]),
        library("CLibYAML", in: "Clients/YAML", debian: "libyaml-dev"),
        room("YAML", at: "Clients/YAML", without: ["CLibYAML"], ["CLibYAML", "Cell"]),
        library("COpenSSL", in: "Clients/TLS", debian: "libssl-dev"),
        room("TLS", at: "Clients/TLS", without: ["COpenSSL"], ["COpenSSL"]),
        library("CJWT", in: "Clients/Tokens", debian: "libjwt-dev"),
        room("Tokens", at: "Clients/Tokens", without: ["CJWT"], ["CJWT"]),

        room("Processes", at: "Clients/Processes", ["CLinux", "Threads"]),

        // gRPC over HTTP/2 for very many quiet connections; knows nothing of chat.
        library("CHPACK", in: "Streams", debian: "libnghttp2-dev"),
        room("Streams", without: ["CHPACK"], ["CHPACK", "CLinux", "TLS"]),
        // HTTP served: health, metrics, the connect server.
        library("CMicrohttpd", in: "Web", debian: "libmicrohttpd-dev"),
        room("Web", without: ["CMicrohttpd"], ["CMicrohttpd", "CLinux", "Threads"]),
        // Redis as the cell's blackboard: its keys, scripts and channels, for operator, servers and cellctl.
        room("Blackboard", ["Cell", "Redis", "YAML"]),
        // A client of the cell that keeps the contract's promises, for chat, bench and tour.
        room("ChatClient", ["Cell", "Streams", "HTTP", "TLS"]),

        room("Operator", ["Cell", "History", "YAML", "Blackboard", "Redis", "Kafka", "Cassandra", "HTTP", "Web", "Processes", "Threads", "CLinux"]),
        // A whole cell on a virtual clock, with the operator's own planner.
        room("Simulation", ["Cell", "Blackboard", "Operator"]),
        // Where the history is kept: the operator makes the schema, servers read and write.
        room("History", at: "Servers/History/Store", ["Cell", "Cassandra", "SQLite", "TLS"]),
        room(
            "Servers", without: ["History/Store"],
            ["Cell", "History", "YAML", "Blackboard", "Redis", "Kafka", "Cassandra", "SQLite", "Streams", "Web", "Tokens", "TLS", "Threads", "CLinux"]),

        .executableTarget(
            name: "cellctl",
            dependencies: [
                "Cell", "Blackboard", "Redis", "YAML", "ChatClient", "History", "HTTP", "Operator", "Servers", "Simulation", "Streams", "TLS", "Processes",
                "Threads", "CLinux",
            ],
            path: "Sources/cellctl"),
        .executableTarget(name: "cell-operator", dependencies: ["Operator", "Processes"], path: "Sources/cell-operator"),
        .executableTarget(name: "cell-server", dependencies: ["Servers"], path: "Sources/cell-server"),
        .executableTarget(name: "stream-bench", dependencies: ["Streams", "TLS"], path: "Sources/stream-bench"),

        .target(name: "Support", dependencies: ["Cell", "Redis", "CLinux", "Threads"], path: "Tests/Support"),
        tests("Cell", ["Cell", "YAML"]),
        tests("Redis", ["Redis"]),
        tests("Kafka", ["Kafka", "Cell"]),
        tests("Cassandra", ["Cassandra", "TLS"]),
        tests("SQLite", ["SQLite"]),
        tests("HTTP", ["HTTP", "Web"]),
        tests("YAML", ["YAML", "Cell"]),
        tests("Tokens", ["Tokens"]),
        tests("Streams", without: ["conformance.py"], ["Streams", "TLS"]),
        tests("Web", ["Web", "HTTP"]),
        tests("Blackboard", ["Blackboard"]),
        tests("ChatClient", ["ChatClient"]),
        tests("Operator", ["Operator"]),
        tests("Servers", without: ["Messaging/chat_client.py"], ["Servers", "History"]),
        tests("Simulation", ["Simulation", "Operator"]),
        tests("cellctl", ["cellctl", "Cell", "Blackboard", "Redis", "YAML"]),
        tests("Integration", without: ["chat"], ["Cell", "Blackboard", "ChatClient", "Kafka", "Cassandra"]),
    ]
)
