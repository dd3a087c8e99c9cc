@testable import Blackboard
import Cell
import FoundationEssentials
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Cell objects")
    struct CellObjectTests {
        static let spec =
            #""partitions":24,"backplane":{"kafka":{"brokers":["k:9092"]}},"store":{"cassandra":{"contactPoints":["c:9042"],"keyspace":"eu"}},"#
            + #""auth":{"none":{}},"run":{"kubernetes":{"image":"cell:1"}}"#

        func object(_ spec: String = spec, metadata: String = "", status: String = "{}") throws -> CellObject {
            let text = """
                {"metadata":{"name":"eu-1","namespace":"chat","uid":"u","generation":3,"resourceVersion":"9"\(metadata)},"spec":{\(spec)},"status":\(status)}
                """
            return try KubernetesMessage.read(CellObject.self, from: Array(text.utf8))
        }

        static let kept = #","finalizers":["cecochat.io/servers"]"#
        static let leaving = kept + #","deletionTimestamp":"2026-11-27T10:00:00Z""#

        func stored(_ json: String, generation: Int64 = 5, deleted: Bool = false) -> StoredSpec {
            StoredSpec(generation: generation, created_ms: 1, json: json, isDeleted: deleted)
        }

        @Test("pods are in the object's namespace; another one is refused with its reason")
        func namespaces() throws {
            guard case .kubernetes(let kubernetes) = try object().wished().run else { return #expect(Bool(false), "no pods") }
            #expect(kubernetes.namespace == "chat")
            let other = try object(Self.spec.replacing(#""image""#, with: #""namespace":"default","image""#))
            #expect { try other.wished() } throws: { ($0 as? SpecProblems)?.words.contains("the Cell is in chat") == true }
        }

        @Test("a new object gets its finalizer and goes to Redis; the same again changes nothing")
        func creation() throws {
            let json = try object().wished().canonicalJSON
            let first = CellObjectPlan(try object(), stored: nil, pods: nil)
            #expect(first.steps == [.addFinalizer, .put(json: json, replacing: 0)])
            let again = CellObjectPlan(try object(metadata: Self.kept), stored: stored(json), pods: nil)
            #expect(again.steps.isEmpty && again.isApplied)
        }

        @Test("a change replaces the generation that is there; what is fixed is refused in the words of cellctl apply")
        func changes() throws {
            let json = try object().wished().canonicalJSON
            let more = try object(Self.spec + #","messaging":{"servers":3}"#, metadata: Self.kept)
            #expect(CellObjectPlan(more, stored: stored(json), pods: nil).steps == [.put(json: try more.wished().canonicalJSON, replacing: 5)])
            let fixed = CellObjectPlan(
                try object(Self.spec.replacing("24", with: "48"), metadata: Self.kept), stored: stored(json), pods: nil)
            #expect(fixed.steps.isEmpty && !fixed.isApplied)
            #expect(fixed.problem?.hasPrefix("spec.partitions is fixed: it is 24 and cannot become 48") == true)
            let wrong = CellObjectPlan(try object(Self.spec + #","mesaging":{}"#, metadata: Self.kept), stored: stored(json), pods: nil)
            #expect(wrong.problem?.contains("mesaging") == true && wrong.problem?.contains("messaging") == true)
        }

        @Test("a deletion stops the cell first; the object goes when neither Redis nor Kubernetes has anything of it")
        func deletion() throws {
            let json = try object().wished().canonicalJSON
            #expect(CellObjectPlan(try object(metadata: Self.leaving), stored: stored(json), pods: nil).steps == [.markDeleted])
            #expect(CellObjectPlan(try object(metadata: Self.leaving), stored: stored(json, deleted: true), pods: nil).steps.isEmpty)
            // A Redis that lost the cell is no reason to let go of what runs.
            #expect(CellObjectPlan(try object(metadata: Self.leaving), stored: nil, pods: true).steps.isEmpty)
            #expect(CellObjectPlan(try object(metadata: Self.leaving), stored: nil, pods: false).steps == [.removeFinalizer])
            #expect(CellObjectPlan(try object(metadata: #","deletionTimestamp":"2026-11-27T10:00:00Z""#), stored: nil, pods: nil).steps.isEmpty)
        }

        func told(_ generation: Int64) -> CellStatus {
            var status = CellStatus()
            status.observedGeneration = generation
            status.conditions = [
                CellStatus.Condition(.ready, .yes, reason: "AllReady", message: "all", observedGeneration: generation, lastTransition_ms: 1_795_618_870_287)
            ]
            return status
        }

        @Test("readiness of a spec before this one does not carry this one's generation")
        func generations() throws {
            let object = try object(metadata: Self.kept, status: #"{"observedGeneration":2}"#)
            let stored = stored(try object.wished().canonicalJSON)
            let plan = CellObjectPlan(object, stored: stored, pods: nil)
            let early = CellObjectStatus(object, plan, stored: stored, told: told(4), now_ms: 0).json.description
            #expect(early.contains(#""observedGeneration":2,"reason":"AllReady""#), "\(early)")
            let now = CellObjectStatus(object, plan, stored: stored, told: told(5), now_ms: 0).json.description
            #expect(now.contains(#""observedGeneration":3,"reason":"AllReady""#), "\(now)")
            #expect(now.contains(#""lastTransitionTime":"2026-11-25T15:01:10Z""#), "\(now)")
        }

        @Test("a spec that does not hold: not ready, and why; told once")
        func refused() throws {
            let first = try object(Self.spec.replacing("24", with: "48"), metadata: Self.kept)
            let stored = stored(try object().wished().canonicalJSON)
            let status = CellObjectStatus(first, CellObjectPlan(first, stored: stored, pods: nil), stored: stored, told: told(5), now_ms: 1_000)
            let conditions = status.json[path: "conditions"]?.description ?? ""
            #expect(
                conditions.contains(#""status":"False","type":"SpecAccepted""#) && conditions.contains(#""status":"False","type":"Ready""#), "\(conditions)")
            #expect(!status.isTold(by: first))
            let second = try object(Self.spec.replacing("24", with: "48"), metadata: Self.kept, status: status.json.description)
            let again = CellObjectStatus(second, CellObjectPlan(second, stored: stored, pods: nil), stored: stored, told: told(5), now_ms: 99_000)
            #expect(again.isTold(by: second))
        }

        @Test("events have names of their own, and a flood is counted")
        func events() throws {
            let events = (1...30).map { CellBlackboard.StoredEvent(id: "17-\($0)", event: CellEvent("ServerLost", time_ms: 0, text: "x")) }
            let bodies = CellObjectEvents.bodies(events, of: try object(), by: "op")
            #expect(bodies.count == CellObjectEvents.most + 1)
            #expect(bodies.first?[path: "metadata.name"] == .text("eu-1.17-1"))
            #expect(bodies.first?[path: "type"] == .text("Warning"))
            #expect(bodies.last?[path: "message"]?.description.contains("10 more events") == true)
        }
    }
}
