// stream-bench --port P [--cert FILE --key FILE] [--loops N]
//
// The stream layer alone: Messaging.Converse of contract/chat.proto routed in memory, for comparison with other gRPC servers.
import Glibc
import Streams
import TLS

func stop(_ message: String) -> Never {
    let line = Array("stream-bench: \(message)\n".utf8)
    write(STDERR_FILENO, line, line.count)
    exit(2)
}

let usage = "usage: stream-bench --port PORT [--cert FILE --key FILE] [--loops N]"
var options: [String: String] = [:]
var words = CommandLine.arguments.dropFirst()
while let name = words.popFirst() {
    guard ["--port", "--cert", "--key", "--loops"].contains(name), let value = words.popFirst() else { stop("\(name) is not known or has no value. \(usage)") }
    options[name] = value
}
guard let port = options["--port"].flatMap({ UInt16($0) }) else { stop("--port is missing or no port. \(usage)") }
guard let count = Int(options["--loops"] ?? "1"), (1...64).contains(count) else { stop("--loops takes 1 to 64") }

var limit = rlimit()
getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
limit.rlim_cur = limit.rlim_max
setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)

do {
    var configuration = ServerConfiguration()
    configuration.keepaliveInterval = .seconds(60)
    if let certificate = options["--cert"], let key = options["--key"] {
        configuration.tls = try TLSServerContext(certificate: certificate, key: key)
    }
    let loops = try (0..<count).map { try EventLoop(name: "bench-\($0)") }
    let directory = Directory(loops: count)
    let server = StreamServer(configuration: configuration, loops: loops) { loop in
        let router = Router(directory: directory, loop: loop, place: Router.all.count, loops: count)
        Router.all.append(router)
        return router
    }
    for loop in loops { loop.start() }
    let bound = try server.start(host: "127.0.0.1", port: port)
    print("listening on 127.0.0.1:\(bound)")
    fflush(nil)
    while true { pause() }
} catch {
    stop("\(error)")
}
