import FoundationEssentials
import Testing

@testable import Servers

@Suite("Delivery, on a random walk")
struct DeliveryModelTests {
    /// CELL_MODEL_RUNS asks for more.
    static let runs = ProcessInfo.processInfo.environment["CELL_MODEL_RUNS"].flatMap { UInt64($0) } ?? 80

    @Test("nothing is lost, doubled, reordered or stuck", arguments: 0..<8 as Range<UInt64>)
    func promises(part: UInt64) {
        for seed in part * Self.runs..<(part + 1) * Self.runs {
            let problems = DeliveryModel(seed: seed).run()
            #expect(problems.isEmpty, "seed \(seed)")
            if !problems.isEmpty { return }
        }
    }

    enum Rule: String, CaseIterable, Sendable {
        case lossIsForgotten, roundBeginsWithAll, streamBeginsWithAll

        var absent: DeliveryModel.Rules {
            var rules = DeliveryModel.Rules()
            switch self {
            case .lossIsForgotten: rules.lossIsTold = false
            case .roundBeginsWithAll: rules.roundBeginsWithAll = false
            case .streamBeginsWithAll: rules.streamBeginsWithAll = false
            }
            return rules
        }
    }

    @Test("the model notices when a rule is not kept", arguments: Rule.allCases)
    func notices(rule: Rule) {
        let broken = (0..<Self.runs).first { !DeliveryModel(seed: $0, rules: rule.absent).run().isEmpty }
        #expect(broken != nil, "no run of \(Self.runs) noticed")
    }
}
