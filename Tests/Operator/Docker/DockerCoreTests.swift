import Cell
import Redis
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("What the Docker driver knows without an engine")
    struct DockerCoreTests {
        static let clean = #"{"a":"}{\"\\","b":[{"c":1}]}"#

        @Test("objects are cut out of any pieces", arguments: [1, 3, 7, 4_096])
        func pieces(_ size: Int) throws {
            let stream = Array("\(Self.clean)\n\(Self.clean)\(Self.clean)\r\n".utf8)
            var objects = JSONObjects()
            var found: [String] = []
            for start in stride(from: 0, to: stream.count, by: size) {
                found += try objects.add(Array(stream[start..<min(stream.count, start + size)])).map { String(decoding: $0, as: UTF8.self) }
            }
            #expect(found == [Self.clean, Self.clean, Self.clean])
        }

        @Test("a failed pull cut at every byte never looks like a failure before its last line is whole")
        func cutPulls() throws {
            let bytes = Array(DockerDriverTests.failedPull.utf8)
            for cut in 0...bytes.count {
                var objects = JSONObjects()
                let lines = try objects.add(Array(bytes[..<cut])) + (try objects.add(Array(bytes[cut...])))
                let errors = try lines.compactMap { try EngineMessage.read(EngineMessage.Progress.self, from: $0).error }
                #expect(lines.count == 3)
                #expect(errors == ["manifest for team/cell:2.0 has no entry for linux/amd64"])
            }
        }

        @Test("an object without an end is refused")
        func endless() {
            var objects = JSONObjects(limit_bytes: 100)
            #expect(throws: JSONObjects.TooLong.self) { try objects.add(Array(repeating: UInt8(ascii: "{"), count: 101)) }
        }

        @Test(
            "the newest version that both speak",
            arguments: [("1.41", "1.12", "1.41"), ("1.52", "1.44", "1.52"), ("1.60", "1.44", "1.52"), ("1.24", nil, "1.24")] as [(String, String?, String)])
        func versions(_ newest: String, _ oldest: String?, _ common: String) throws {
            let found = try EngineVersion.common(newest: #require(EngineVersion(newest)), oldest: oldest.flatMap { EngineVersion($0) })
            #expect("\(found)" == common)
        }

        @Test("versions that do not meet", arguments: [("1.23", "1.12"), ("1.70", "1.60")])
        func strangers(_ newest: String, _ oldest: String) {
            #expect(throws: DriverError.self) { try EngineVersion.common(newest: #require(EngineVersion(newest)), oldest: EngineVersion(oldest)) }
        }

        @Test(
            "endpoints",
            arguments: [
                ("unix:///run/d.sock", "http://docker", "/run/d.sock"), ("tcp://host:2375", "http://host:2375", nil), ("tcp://host", "http://host:2375", nil),
                ("https://host", "https://host:2376", nil), ("https://[::1]:9/", "https://[::1]:9", nil), ("tcp://[::1]", "http://[::1]:2375", nil),
            ] as [(String, String, String?)])
        func endpoints(_ text: String, _ base: String, _ socket: String?) throws {
            var spec = RunSpec.Docker(image: "cell")
            let variable = try DockerEndpoint(spec, environment: ["DOCKER_HOST": text])
            #expect(variable.base == base)
            #expect(variable.route.unixSocket == socket)
            spec.endpoint = text
            let written = try DockerEndpoint(spec, environment: ["DOCKER_HOST": "tcp://other:1"])
            #expect(written == variable)
        }

        @Test("certificates make tcp https: the spec's, else the environment's")
        func certificates() throws {
            var spec = RunSpec.Docker(image: "cell")
            let environment = ["DOCKER_HOST": "tcp://host:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"]
            let variable = try DockerEndpoint(spec, environment: environment)
            #expect(variable.base == "https://host:2376")
            #expect(variable.route.authority == .file("/certs/ca.pem"))
            #expect(variable.route.key == .file("/certs/key.pem"))
            var tls = RunSpec.ClientTLS()
            tls.ca = "/mine/ca.pem"
            spec.tls = tls
            let written = try DockerEndpoint(spec, environment: environment)
            #expect(written.route.authority == .file("/mine/ca.pem"))
            #expect(written.route.key == nil)
        }

        @Test("endpoints that cannot be read", arguments: ["docker.sock", "ftp://host", "tcp://", "unix://relative", "tcp://host/path"])
        func unreadable(_ text: String) {
            #expect(throws: DriverError.self) { try DockerEndpoint(RunSpec.Docker(image: "cell"), environment: ["DOCKER_HOST": text]) }
        }

        @Test(
            "image references",
            arguments: [
                ("cell", "cell", "latest"), ("cell:1.0", "cell", "1.0"), ("host:5000/team/cell", "host:5000/team/cell", "latest"),
                ("host:5000/cell:2", "host:5000/cell", "2"), ("cell:2@sha256:ab", "cell", "sha256:ab"),
            ])
        func references(_ text: String, _ name: String, _ tag: String) {
            let reference = ImageReference(text)
            #expect(reference.name == name)
            #expect(reference.tag == tag)
        }

        @Test(
            "how containers end",
            arguments: [
                (0, "it exited with code 0", false), (7, "it exited with code 7", true), (137, "signal 9 (Killed) ended it", false),
                (139, "signal 11 (Segmentation fault) ended it", true),
            ] as [(Int32, String, Bool)])
        func ends(_ code: Int32, _ words: String, _ hasLastWords: Bool) {
            let end = ContainerEnd(code: code)
            #expect("\(end)" == words)
            #expect(end.hasLastWords == hasLastWords)
        }

        @Test("the last line that says something: of the errors, else of what was printed")
        func lastLines() {
            func frame(_ stream: UInt8, _ text: String) -> [UInt8] { [stream, 0, 0, 0, 0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8) }
            #expect(DockerEngine.lastLine(frame(2, "first\nno such") + frame(2, " port\n\n") + frame(1, "printed\n")) == "no such port")
            #expect(DockerEngine.lastLine(frame(1, "printed\n") + frame(2, "\n")) == "printed")
            #expect(DockerEngine.lastLine([2, 0, 0, 0, 255, 255, 255, 255, 65]) == "A")
            #expect(DockerEngine.lastLine([]) == "")
        }

        @Test("on a named network servers listen to all, are known by their alias, and cannot use Redis on loopback")
        func namedNetwork() throws {
            var spec = RunSpec.Docker(image: "cell:1.0")
            spec.network = "chat"
            spec.resources.cpus_milli = 1_500
            spec.resources.memory_bytes = 4 << 30
            let life = ServerLife(ServerID(.messaging, 3), try #require(Incarnation("5f0c")))
            let cell = try #require(CellName("eu-1"))
            let redis = RedisAddress(host: "redis", port: 6379)
            let body = ContainerBody(spec, life, ServerTemplate(cell: cell, zone: ""), redis: redis)
            #expect(body.Cmd.suffix(4) == ["--bind", "0.0.0.0", "--advertise", "messaging-3-5f0c"])
            #expect(body.NetworkingConfig?.EndpointsConfig == ["chat": ContainerBody.Endpoint(Aliases: ["messaging-3-5f0c"])])
            #expect(body.HostConfig.CpuQuota == 150_000)
            #expect(body.HostConfig.Memory == 4 << 30)
            #expect(throws: Never.self) { try spec.check(redis) }
            #expect(throws: DriverError.self) { try spec.check(RedisAddress(host: "127.0.0.1", port: 6379)) }
            spec.network = "host"
            #expect(throws: Never.self) { try spec.check(RedisAddress(host: "127.0.0.1", port: 6379)) }
        }
    }
}
