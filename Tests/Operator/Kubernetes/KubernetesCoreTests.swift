import Cell
import FoundationEssentials
import HTTP
import Redis
import Support
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("What the Kubernetes driver knows without a cluster")
    struct KubernetesCoreTests {
        // MARK: Credentials

        static func config(_ user: String, cluster: String = #"server: "https://10.0.0.1:6443/""#) -> String {
            """
            apiVersion: v1
            kind: Config
            clusters:
            - {name: other, cluster: {server: "https://elsewhere"}}
            - {name: here, cluster: {\(cluster)}}
            users:
            - {name: me, user: {\(user)}}
            contexts:
            - {name: here, context: {cluster: here, user: me, namespace: chat}}
            current-context: here
            """
        }

        func read(_ text: String) throws -> Kubeconfig { try Kubeconfig(Array(text.utf8), file: "/etc/kube/config") }

        @Test("a token, and the authority in base64")
        func token() throws {
            let found = try read(Self.config("token: abc", cluster: #"server: "https://h", certificate-authority-data: UEVN"#))
            #expect(found.server == "https://h")
            #expect(found.authority == .text("PEM"))
            #expect(found.token == .text("abc"))
            #expect(found.namespace == "chat")
        }

        @Test("a client certificate in files beside the kubeconfig")
        func certificate() throws {
            let found = try read(Self.config("client-certificate: me.crt, client-key: /keys/me.key"))
            #expect(found.server == "https://10.0.0.1:6443")
            #expect(found.certificate == .file("/etc/kube/me.crt"))
            #expect(found.key == .file("/keys/me.key"))
            #expect(found.token == .none)
        }

        @Test(
            "what is not offered is refused with its reason and what to do",
            arguments: [
                ("exec: {command: aws}", "exec", "another program"), ("username: a, password: b", "username", "service account"),
                ("auth-provider: {name: gcp}", "auth-provider", "service account"), ("client-certificate: a", "go together", "KUBECONFIG"),
                ("client-certificate-data: '%', client-key-data: '%'", "no base64", "KUBECONFIG"),
            ])
        func refused(_ user: String, _ words: String, _ more: String) {
            #expect { try read(Self.config(user)) } throws: { "\($0)".contains(words) && "\($0)".contains(more) }
        }

        @Test(
            "clusters that are not offered, and files that are none",
            arguments: [
                (config("token: a", cluster: "server: x, insecure-skip-tls-verify: true"), "insecure-skip-tls-verify"),
                (config("token: a", cluster: "server: x, proxy-url: y"), "proxy-url"), (config("token: a", cluster: "nothing: x"), "no server"),
                (config("token: a").replacing("current-context: here", with: "current-context: there"), "no context there"),
                (config("token: a").replacing("current-context: here", with: ""), "no current-context"), ("", "is empty"), ("{", "cannot be read"),
            ])
        func broken(_ text: String, _ words: String) {
            #expect { try read(text) } throws: { "\($0)".contains(words) }
        }

        @Test("in the cluster: the service account, whose token is read again when it changes")
        func account() throws {
            let folder = try TemporaryFolder("account")
            for (name, text) in [("token", "first\n"), ("ca.crt", "PEM"), ("namespace", "chat")] { try folder.write(text, to: name) }
            let variables = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443", "HOME": folder.path]
            let access = try KubernetesAccess(environment: variables, account: folder.path)
            #expect(access.base == "https://[fd00::1]:6443")
            #expect(access.namespace == "chat")
            let first = try access.currentRoute()
            #expect(first.bearerToken == "first")
            #expect(first.authority == .file(folder.file("ca.crt")))
            try folder.write("second", to: "token")
            let second = try access.currentRoute().bearerToken
            #expect(second == "second")
        }

        @Test("nobody says where Kubernetes is; or several files do")
        func nowhere() {
            #expect { try KubernetesAccess(environment: ["HOME": "/nowhere"]) } throws: { "\($0)".contains("KUBECONFIG") }
            #expect { try KubernetesAccess(environment: ["KUBECONFIG": "a:b"]) } throws: { "\($0)".contains("several files") }
            #expect { try KubernetesAccess(environment: ["KUBECONFIG": "/nowhere/config"]) } throws: { "\($0)".contains("/nowhere/config") }
        }

        // MARK: Watches

        static let bookmarks = """
            {"type":"BOOKMARK","object":{"apiVersion":"v1","kind":"Pod","metadata":{"resourceVersion":"777","creationTimestamp":null},"spec":{"containers":null},"status":{}}}
            {"type":"DELETED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"case-messaging-2","namespace":"t","resourceVersion":"779","deletionTimestamp":"2024-06-01T00:00:00Z"},"spec":{},"status":{"phase":"Running"}}}
            {"type":"SHINY","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"case-messaging-3","resourceVersion":"780"}}}

            """

        static let gone = """
            {"type":"MODIFIED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"case","namespace":"t","resourceVersion":"501"},"spec":{}}}
            {"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"resource version 501 is gone (now 9001)","reason":"Expired","code":410}}

            """

        static func pieces(_ text: String, _ size: Int) -> [[UInt8]] {
            let bytes = Array(text.utf8)
            return stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min(bytes.count, $0 + size)]) }
        }

        @Test("bookmarks and unknown events move the version alone", arguments: [1, 7, 4_096])
        func bookmarks(_ size: Int) throws {
            var events = WatchEvents<KubernetesMessage.Pod>(from: "1")
            var deleted: [String] = []
            for piece in Self.pieces(Self.bookmarks, size) {
                for case .deleted(let pod) in try events.add(piece) { deleted.append(pod.metadata.name) }
            }
            #expect(deleted == ["case-messaging-2"])
            #expect(events.version == "780")
        }

        @Test("a version that is gone is told inside a 200, after what was told before", arguments: [1, 7, 4_096])
        func gone(_ size: Int) throws {
            var events = WatchEvents<KubernetesMessage.Pod>(from: "1")
            var stale: String?
            for piece in Self.pieces(Self.gone, size) {
                do { _ = try events.add(piece) } catch let error as WatchEvents<KubernetesMessage.Pod>.Stale { stale = error.description }
            }
            #expect(stale == "resource version 501 is gone (now 9001)")
        }

        // MARK: Pods

        @Test("a pod says by labels whose it is; a password stands in no argument, and the servers' volumes are split as Kubernetes wants them")
        func body() throws {
            let life = ServerLife(ServerID(.connect, 2), Incarnation("00ff")!)
            var spec = RunSpec.Kubernetes(image: "team/cell:1.0")
            spec.volumes = [#"{"mountPath":"/etc/cell","name":"keys","readOnly":true,"secret":{"secretName":"k"}}"#]
            spec.resources.cpus_milli = 500
            let template = ServerTemplate(cell: CellName("eu-1")!, zone: "b", port: 8_081, generation: 4, name: "abc")
            let redis = try RedisAddress(parsing: "redis://:s3cret@10.0.0.5:6379")
            let text = try PodBody(spec, life, template, redis: redis, owner: PodBody.Owner(name: "eu-1", uid: "u")).json.description
            #expect(text.contains(#""name":"cell-eu-1-connect-2-00ff""#))
            #expect(text.contains(#""io.cecochat.server":"connect-2""#) && text.contains(#""io.cecochat.build":"team/cell:1.0""#))
            #expect(text.contains(#""volumeMounts":[{"mountPath":"/etc/cell","name":"keys","readOnly":true}]"#))
            #expect(text.contains(#""volumes":[{"name":"keys","secret":{"secretName":"k"}}]"#))
            #expect(text.contains(#""nodeSelector":{"topology.kubernetes.io/zone":"b"}"#))
            #expect(text.contains(#""limits":{"cpu":"500m"}"#))
            #expect(text.contains(#""ownerReferences":[{"apiVersion":"cecochat.io/v1alpha1""#))
            #expect(
                text.contains(#"["connect","--cell","eu-1","--server","connect-2","--incarnation","00ff","--zone","b","--port","8081","--bind","$(POD_IP)""#))
            #expect(!text.contains("s3cret"))
        }

        @Test("a Redis on loopback is refused where pods have a network of their own; a volume without a place is named")
        func unreachable() throws {
            let spec = RunSpec.Kubernetes(image: "cell:1")
            #expect { try spec.check(RedisAddress(host: "127.0.0.1", port: 6379)) } throws: { "\($0)".contains("loopback") }
            var other = spec
            other.volumes = [#"{"name":"x","emptyDir":{}}"#]
            #expect { try other.podVolumes() } throws: { "\($0)".contains("volumes[0]") }
        }

        @Test("any JSON is written as it was read")
        func anyJSON() throws {
            let text = #"{"a":[1,-2,0.5,true,null,"x"],"b":{},"c":"0123"}"#
            let read = try JSONDecoder().decode(AnyJSON.self, from: Data(text.utf8)).json.description
            #expect(read == text)
        }
    }
}
